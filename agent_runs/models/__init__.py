from agent_runs.models.logs import AgentRunLog, LogBacklog, LogChunk, LogKind
from agent_runs.models.runs import (
    LIVE_STATUSES,
    TERMINAL_STATUSES,
    AgentRun,
    RunStatus,
    RunTrigger,
)
from agent_runs.models.traces import (
    ModelQuestion,
    ModelQuestionStatus,
    ModelSelection,
    RunDiff,
    RunStep,
    SelectedBy,
    StepName,
    StepStatus,
)

__all__ = [
    "LIVE_STATUSES",
    "TERMINAL_STATUSES",
    "AgentRun",
    "AgentRunLog",
    "LogBacklog",
    "LogChunk",
    "LogKind",
    "ModelQuestion",
    "ModelQuestionStatus",
    "ModelSelection",
    "RunDiff",
    "RunStatus",
    "RunStep",
    "RunTrigger",
    "SelectedBy",
    "StepName",
    "StepStatus",
]
