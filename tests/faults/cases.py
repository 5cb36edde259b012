"""What breaks, where in a run, and how the run must end."""

from dataclasses import dataclass
from enum import StrEnum


class Point(StrEnum):
    """A place on a run's way that the harness can see from outside."""

    CLONE = "clone"
    AGENT_START = "agent start"
    MID_STREAM = "mid-stream"
    TOOL_CALL = "tool call"
    PUBLISH = "publish"


class Victim(StrEnum):
    AGENTS = "agents worker"
    CONTROL = "control worker"
    SUPERVISOR = "supervisor"
    GATEWAY = "gateway"
    WEB = "web"
    TEMPORAL = "Temporal"
    POSTGRESQL = "PostgreSQL"
    VALKEY = "Valkey"


class Deed(StrEnum):
    KILL = "kill"
    STARVE = "starve"  # SIGSTOP, and SIGCONT after a while
    MODEL = "model"  # nothing is broken but the model server's manners
    SPOOL_LIMIT = "bound"  # the supervisor's writes beyond a size fail
    DISK_FULL = "fill"  # not a byte is left on the disk of the runs
    CLOCK = "step"  # all of Paid's processes see another time than their servers


@dataclass(frozen=True)
class Case:
    """`status` and `error_code` say how the run must end."""

    deed: Deed
    victim: str
    point: Point
    status: str = "completed"
    error_code: str = ""
    model: str = ""
    step_seconds: int = 0
    stall_seconds: int = 600

    @property
    def name(self) -> str:
        return f"{self.deed} {self.victim} at {self.point}".replace(" ", "-").lower()


# Longer than the heartbeat time-out (10 s): the worker wakes to find that its work was given to somebody else.
STARVE_SECONDS = {Victim.AGENTS: 13.0, Victim.TEMPORAL: 13.0}
SHORT_STARVATION_SECONDS = 6.0

# The supervisor lives from the agent's start to its end only.
_WHILE_SUPERVISED = (Point.AGENT_START, Point.MID_STREAM, Point.TOOL_CALL)


def _kills() -> list[Case]:
    return [Case(Deed.KILL, victim, point) for victim in Victim if victim != Victim.SUPERVISOR for point in Point] + [
        Case(Deed.KILL, Victim.SUPERVISOR, point, "failed", "agent_lost") for point in _WHILE_SUPERVISED
    ]


def _starvations() -> list[Case]:
    return [Case(Deed.STARVE, victim, Point.MID_STREAM) for victim in Victim] + [
        Case(Deed.STARVE, Victim.AGENTS, Point.CLONE),
        Case(Deed.STARVE, Victim.AGENTS, Point.PUBLISH),
        Case(Deed.STARVE, Victim.POSTGRESQL, Point.PUBLISH),
    ]


def _rude_models() -> list[Case]:
    start = Point.AGENT_START
    return [
        Case(Deed.MODEL, "stalls", start, "failed", "agent_stalled", "scripted-stall", stall_seconds=12),
        Case(Deed.MODEL, "breaks off", start, "failed", "agent_error", "scripted-break"),
        Case(Deed.MODEL, "answers 429", start, "failed", "model_overloaded", "scripted-429"),
        Case(Deed.MODEL, "answers 529, then well", start, model="scripted-529-then-ok"),
    ]


CASES: tuple[Case, ...] = (
    *_kills(),
    *_starvations(),
    *_rude_models(),
    Case(Deed.SPOOL_LIMIT, "spool", Point.AGENT_START, "failed", "disk_full"),
    Case(Deed.DISK_FULL, "disk", Point.AGENT_START, "failed", "disk_full"),
    Case(Deed.DISK_FULL, "disk", Point.MID_STREAM, "failed", "disk_full"),
    *(
        Case(Deed.CLOCK, f"clock {name}", point, step_seconds=seconds)
        for name, seconds in (("an hour on", 3600), ("an hour back", -3600))
        for point in (Point.MID_STREAM, Point.PUBLISH)
    ),
)
