"""What Temporal runs for us, and what it has still to be told."""

import factory
from django.utils import timezone

from tests.factories.accounts import AccountFactory
from tests.factories.agent_runs import AgentRunFactory
from tests.factories.base import PlatformFactory
from workflows.models import OutboxCommand, RunRequest, WorkflowState


class WorkflowStateFactory(PlatformFactory):
    class Meta:
        model = WorkflowState

    account = factory.SubFactory(AccountFactory)
    workflow_id = factory.Sequence(lambda n: f"issue-1-{n}")
    temporal_run_id = factory.Sequence(lambda n: f"run-{n}")
    workflow_type = "IssueWorkflow"
    started_at = factory.LazyFunction(timezone.now)


class OutboxCommandFactory(PlatformFactory):
    class Meta:
        model = OutboxCommand

    account = factory.SubFactory(AccountFactory)
    workflow_type = "IssueWorkflow"
    workflow_id = factory.Sequence(lambda n: f"issue-1-{n}")
    task_queue = "control"
    signal = "start_run"
    dedupe_key = factory.Sequence(lambda n: f"command-{n}")


class RunRequestFactory(PlatformFactory):
    class Meta:
        model = RunRequest

    account = factory.SelfAttribute("agent_run.account")
    agent_run = factory.SubFactory(AgentRunFactory)
    key = factory.Sequence(lambda n: f"request-{n}")
    digest = bytes(32)
