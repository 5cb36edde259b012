"""One poll of one project; its schedule skips a turn while the last one still works."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from projects.contracts import ProjectRef
    from workflows.forge_contracts import POLL_PROJECT, POLL_WORKFLOW, PollOutcome

POLL_TIMEOUT = timedelta(minutes=10)
# Long enough for the longest rate limit; the turns in between are skipped.
POLL_PATIENCE = timedelta(hours=2)
POLL_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=2), maximum_attempts=5
)


@workflow.defn(name=POLL_WORKFLOW)
class PollProjectWorkflow:
    @workflow.run
    async def run(self, project: ProjectRef) -> PollOutcome:
        outcome: PollOutcome = await workflow.execute_activity(
            POLL_PROJECT,
            project,
            result_type=PollOutcome,
            start_to_close_timeout=POLL_TIMEOUT,
            schedule_to_close_timeout=POLL_PATIENCE,
            retry_policy=POLL_RETRIES,
        )
        return outcome
