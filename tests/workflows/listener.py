"""The activities of the workflows that listen to a forge, played."""

from dataclasses import dataclass, field
from datetime import datetime

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from projects.contracts import DeliveryRef, ProjectRef
from workflows.contracts import CONTROL_QUEUE
from workflows.forge_contracts import DIGEST_DELIVERY, GIVE_UP_DELIVERY, POLL_PROJECT, PollOutcome
from workflows.poll_workflow import PollProjectWorkflow
from workflows.webhook_inbox import WebhookInboxWorkflow
from workflows.worker import DEPLOYMENT


@dataclass
class Listener:
    """Plays the activities. `refusals` are raised before an answer, one an attempt."""

    refusals: dict[int, list[ApplicationError]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)

    @activity.defn(name=DIGEST_DELIVERY)
    async def digest(self, delivery: DeliveryRef) -> None:
        self.calls.append(f"digest {delivery.delivery_id}")
        self.times.append(activity.info().started_time)
        waiting = self.refusals.get(delivery.delivery_id, [])
        if waiting:
            raise waiting.pop(0)

    @activity.defn(name=GIVE_UP_DELIVERY)
    async def give_up(self, delivery: DeliveryRef) -> None:
        self.calls.append(f"give up {delivery.delivery_id}")

    @activity.defn(name=POLL_PROJECT)
    async def poll(self, project: ProjectRef) -> PollOutcome:
        self.calls.append(f"poll {project.project_id}")
        self.times.append(activity.info().started_time)
        waiting = self.refusals.get(project.project_id, [])
        if waiting:
            raise waiting.pop(0)
        return PollOutcome(started_runs=1)

    def worker(self, client: Client) -> Worker:
        """An asynchronous context: the queue of both workflows, served in this process."""
        return Worker(
            client,
            task_queue=CONTROL_QUEUE,
            workflows=[WebhookInboxWorkflow, PollProjectWorkflow],
            activities=[self.digest, self.give_up, self.poll],
            deployment_config=DEPLOYMENT,
        )
