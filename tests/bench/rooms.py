"""The rooms of `make bench` in the order in which they are measured."""

from importlib import import_module

from tests.bench.figures import PHASES, REGISTERED, Measure

ROOMS = ("logs", "search", "dashboard", "prompts", "pages", "gateway", "ledger", "crowded", "partitions")

# Measured only where they are asked for: what a decision stands on, and nobody waits for otherwise.
ASKED_FOR = ("log_choices",)


def unknown(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name not in ROOMS + ASKED_FOR]


def measures(only: tuple[str, ...] = ()) -> list[Measure]:
    """What the wanted rooms measure (all by default), reads first, drops last. Needs Django to be ready."""
    for room in only or ROOMS:
        import_module(f"tests.bench.{room}")
    wanted = [measure for measure in REGISTERED if measure.room in (only or ROOMS)]
    rooms = ROOMS + ASKED_FOR
    return sorted(wanted, key=lambda measure: (PHASES.index(measure.phase), rooms.index(measure.room)))
