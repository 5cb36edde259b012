"""One project's webhooks, digested one after the other in the order of their arrival."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from projects.contracts import DELIVERED_SIGNAL, INBOX_WORKFLOW, DeliveryRef
    from workflows.forge_contracts import DIGEST_DELIVERY, GIVE_UP_DELIVERY, InboxInput, InboxSummary

DIGEST_TIMEOUT = timedelta(minutes=3)
# A forge that is away for hours must not hold up what came after: the poll finds what is given up here.
DIGEST_PATIENCE = timedelta(hours=2)
DIGEST_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=5), maximum_attempts=40
)
GIVE_UP_TIMEOUT = timedelta(seconds=30)
GIVE_UP_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1), maximum_attempts=500
)
DELIVERIES_BEFORE_CONTINUING = 200


@workflow.defn(name=INBOX_WORKFLOW)
class WebhookInboxWorkflow:
    """Ends as soon as nothing is left to do: signal-with-start brings it back."""

    @workflow.init
    def __init__(self, carried: InboxInput) -> None:
        self._pending = list(carried.pending)
        self._handled = 0

    @workflow.run
    async def run(self, carried: InboxInput) -> InboxSummary:
        while self._pending:
            await self._digest(self._pending.pop(0))
            self._handled += 1
            if self._handled >= DELIVERIES_BEFORE_CONTINUING or workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(InboxInput(tuple(self._pending)))
        return InboxSummary(self._handled)

    @workflow.signal(name=DELIVERED_SIGNAL)
    def delivered(self, delivery: DeliveryRef) -> None:
        """The same delivery twice is claimed once: digestion sees to that."""
        self._pending.append(delivery)

    async def _digest(self, delivery: DeliveryRef) -> None:
        try:
            await workflow.execute_activity(
                DIGEST_DELIVERY,
                delivery,
                start_to_close_timeout=DIGEST_TIMEOUT,
                schedule_to_close_timeout=DIGEST_PATIENCE,
                retry_policy=DIGEST_RETRIES,
            )
        except ActivityError:
            await workflow.execute_activity(
                GIVE_UP_DELIVERY,
                delivery,
                start_to_close_timeout=GIVE_UP_TIMEOUT,
                retry_policy=GIVE_UP_RETRIES,
            )
