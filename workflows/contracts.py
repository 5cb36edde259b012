"""What crosses between our processes and Temporal: names, queues and frozen dataclasses. Standard library only.

Payloads carry ids and short words for people, never prompts, logs or secrets: Temporal keeps them in its history.
A new field needs a default, or the histories of running workflows no longer decode.
"""

from dataclasses import dataclass
from enum import StrEnum

CONTROL_QUEUE = "control"  # workflows, and activities that need only the database and the forge
AGENTS_QUEUE = "agents"  # activities that touch the files and processes of one host

ISSUE_WORKFLOW = "IssueWorkflow"
RUN_WORKFLOW = "RunWorkflow"

START_SIGNAL = "start_run"
STOP_SIGNAL = "stop_run"
RESUME_SIGNAL = "resume_run"

CHOOSE_MODEL = "choose_model"
PREPARE_WORKSPACE = "prepare_workspace"
RUN_AGENT = "run_agent"
PAUSE_RUN = "pause_run"
BEGIN_SESSION = "begin_session"
PUBLISH_RUN = "publish_run"
CLEAR_WORKSPACE = "clear_workspace"
FINISH_RUN = "finish_run"

# How often a model is asked for a run's model before the rules' choice has to do. Each may cost, within one cap.
CHOICE_ATTEMPTS = 3


def issue_workflow_id(project_id: int, issue_number: int) -> str:
    return f"issue-{project_id}-{issue_number}"


def run_workflow_id(run_id: int) -> str:
    return f"run-{run_id}"


@dataclass(frozen=True)
class RunRef:
    """Which run; also the payload of both signals. `asks_for_model`: a model chooses the run's model first."""

    account_id: int
    run_id: int
    asks_for_model: bool = False


@dataclass(frozen=True)
class IssueInput:
    """What an issue's workflow carries over when it continues as new. Empty for a first start."""

    pending: tuple[RunRef, ...] = ()
    seen: tuple[int, ...] = ()  # run ids, oldest first: a signal that arrives twice is one run


@dataclass(frozen=True)
class IssueSummary:
    runs: int = 0


class Verdict(StrEnum):
    DONE = "done"  # go on with the next step
    STOPPED = "stopped"
    FAILED = "failed"
    PAUSED = "paused"  # money is out: a person decides whether the run goes on


@dataclass(frozen=True)
class StepOutcome:
    """How one step of a run ended. `error` says to a person what happened and what to do."""

    verdict: Verdict = Verdict.DONE
    error_code: str = ""
    error: str = ""


@dataclass(frozen=True)
class PreparedRun:
    """`agent_seconds`: how long the agent may take in all, from the limits that are frozen on the run."""

    outcome: StepOutcome
    agent_seconds: int = 0


@dataclass(frozen=True)
class Pause:
    """Why a run waits for a person. `number` counts its pauses from 1: what was meant for one resumes no other."""

    run: RunRef
    number: int
    outcome: StepOutcome


@dataclass(frozen=True)
class Resumption:
    """The payload of the signal that ends one pause."""

    account_id: int
    run_id: int
    pause: int


@dataclass(frozen=True)
class RunEnd:
    """The last word about a run: `finish_run` writes it to the run's row."""

    run: RunRef
    outcome: StepOutcome
