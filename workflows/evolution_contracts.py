"""What the workflow that improves prompts shares with its activities. Standard library only."""

from dataclasses import dataclass

EVOLUTION_WORKFLOW = "EvolvePromptWorkflow"
DECIDED_SIGNAL = "decided"

OPEN_EVOLUTION = "open_evolution"
CONSULT_MODEL = "consult_model"
PROPOSE = "propose_prompts"
TRY_PROPOSALS = "try_proposals"
FOLLOW_EXPERIMENT = "follow_experiment"
GIVE_UP_EVOLUTION = "give_up_evolution"


def evolution_schedule_id(prompt_id: int) -> str:
    return f"evolve-{prompt_id}"


@dataclass(frozen=True)
class EvolutionInput:
    """Which prompt. `evolution_id` is set when it continues as new while the experiment runs.

    Without a prompt there is nothing to do: so starts one that a late decision woke after its workflow was gone.
    """

    account_id: int = 0
    prompt_id: int = 0
    evolution_id: int = 0


@dataclass(frozen=True)
class EvolutionRef:
    account_id: int
    evolution_id: int


@dataclass(frozen=True)
class OpenedEvolution:
    """`evolution_id` is 0 when there is nothing to improve; then `reason` says why.

    `is_tested` when a workflow before this one has come as far as the experiment.
    """

    evolution_id: int = 0
    needs_approval: bool = True
    is_tested: bool = False
    reason: str = ""


@dataclass(frozen=True)
class StepEnd:
    """Whether the cycle goes on with its next step."""

    goes_on: bool = True


@dataclass(frozen=True)
class GivenUp:
    evolution: EvolutionRef
    has_expired: bool
    reason: str


@dataclass(frozen=True)
class EvolutionSummary:
    evolution_id: int = 0
    reason: str = ""
