"""What workers do. Synchronous, in threads; each opens its own short tenant context."""

from collections.abc import Callable
from typing import Any

from workflows.activities.agent import run_agent
from workflows.activities.choice import choose_model
from workflows.activities.evolution import (
    consult_model,
    follow_experiment_activity,
    give_up_evolution,
    open_evolution_activity,
    propose_prompts,
    try_proposals_activity,
)
from workflows.activities.finish import clear_workspace, finish_run_activity
from workflows.activities.forge import digest_delivery, give_up_delivery, poll_project
from workflows.activities.pause import begin_session_activity, pause_run_activity
from workflows.activities.prepare import prepare_workspace
from workflows.activities.publish import publish_run

CONTROL_ACTIVITIES: list[Callable[..., Any]] = [
    finish_run_activity,
    pause_run_activity,
    digest_delivery,
    give_up_delivery,
    poll_project,
    open_evolution_activity,
    propose_prompts,
    try_proposals_activity,
    follow_experiment_activity,
    give_up_evolution,
]
AGENTS_ACTIVITIES: list[Callable[..., Any]] = [
    choose_model,
    prepare_workspace,
    run_agent,
    begin_session_activity,
    publish_run,
    clear_workspace,
    consult_model,
]

__all__ = ["AGENTS_ACTIVITIES", "CONTROL_ACTIVITIES"]
