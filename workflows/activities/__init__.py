"""What workers do. Synchronous, in threads; each opens its own short tenant context."""

from workflows.activities.agent import run_agent
from workflows.activities.finish import clear_workspace, finish_run_activity
from workflows.activities.prepare import prepare_workspace
from workflows.activities.publish import publish_run

CONTROL_ACTIVITIES = [finish_run_activity]
AGENTS_ACTIVITIES = [prepare_workspace, run_agent, publish_run, clear_workspace]

__all__ = ["AGENTS_ACTIVITIES", "CONTROL_ACTIVITIES"]
