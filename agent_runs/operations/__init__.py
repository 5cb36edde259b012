from agent_runs.operations.runs import (
    advance_run,
    create_run,
    finish_run,
    pause_run,
    record_outcome,
    request_stop,
    set_identity,
    set_run_token,
    set_workspace,
    unpause_run,
)
from agent_runs.operations.steps import begin_step, end_open_steps, end_step, explain_step
from agent_runs.operations.traces import record_model_selection, store_diff

__all__ = [
    "advance_run",
    "begin_step",
    "create_run",
    "end_open_steps",
    "end_step",
    "explain_step",
    "finish_run",
    "pause_run",
    "record_model_selection",
    "record_outcome",
    "request_stop",
    "set_identity",
    "set_run_token",
    "set_workspace",
    "store_diff",
    "unpause_run",
]
