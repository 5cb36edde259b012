"""What the page of an experiment shows, put together from its rows and its kept reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from accounts.models import AuditEvent
from metrics.experiments.decision import SPLIT_ALPHA
from metrics.experiments.reading import Arm, Comparison, Guard, Reading, kept_reading
from metrics.experiments.units import Unit
from metrics.models import ExperimentReading
from prompts.experiments import operations
from prompts.experiments.rule import DecisionRule
from prompts.models import AbTest, AbVariant


@dataclass(frozen=True)
class ArmRow:
    """A variant as a line of the table. `share` is what it was set to, of the issues that take part."""

    variant: AbVariant
    share: float
    seen_share: float | None
    arm: Arm | None
    outcome: str
    cost_usd: Decimal | None
    spent_usd: Decimal | None


@dataclass(frozen=True)
class PathRow:
    """A point of the chart in the metric's unit, `low` below `high`."""

    subjects: int
    low: float
    high: float
    effect: float | None
    said: str


@dataclass(frozen=True)
class GuardRow:
    name: str
    guard: Guard
    worsening: str
    at_least: str
    tolerance: str


@dataclass(frozen=True)
class GuardLimit:
    """What a guardrail allows, in words."""

    name: str
    tolerance: str


@dataclass(frozen=True)
class Contest:
    """A variant against the control."""

    comparison: Comparison
    effect: str
    interval: str
    verdict: str
    tone: str
    path: list[PathRow]
    guards: list[GuardRow]
    cost_change: str

    @property
    def one_look_p(self) -> str:
        return _p_value(self.comparison.welch_p_value)

    @property
    def beats(self) -> str:
        chance = self.comparison.probability_to_beat
        return "–" if chance is None else f"{min(max(chance, 0.001), 0.999) * 100:.1f} %"


@dataclass(frozen=True)
class Figures:
    """The whole page. `reading` is None for a draft and before the first look."""

    unit: Unit
    rule: DecisionRule
    arms: list[ArmRow]
    contests: list[Contest]
    reading: Reading | None
    split_p: str
    is_split_as_set: bool
    most_cost_usd: Decimal

    @property
    def confidence(self) -> str:
        return f"{(1 - self.rule.alpha) * 100:.0f} %"

    @property
    def smallest_effect(self) -> str:
        return self.unit.effect(self.rule.smallest_worthwhile_effect) if self.rule.smallest_worthwhile_effect else ""

    @property
    def maturity(self) -> str:
        days, hours = divmod(self.rule.maturity_hours, 24)
        return f"{self.rule.maturity_hours} hours" if hours or not days else f"{days} day{'s' if days > 1 else ''}"

    @property
    def guards(self) -> list[GuardLimit]:
        return [
            GuardLimit(_guard_name(one.metric), _guard_size(one.metric, one.tolerance)) for one in self.rule.guardrails
        ]

    @property
    def progress(self) -> float:
        """How far it is to the number of issues that ends it in any case."""
        return min(1.0, self.reading.settled / self.rule.maximum_subjects) if self.reading else 0.0


def figures_of(test: AbTest, variants: list[AbVariant], kept: ExperimentReading | None) -> Figures:
    reading = kept_reading(kept.content) if kept else None
    unit = Unit.of(test)
    arms = _arms(variants, reading, unit)
    return Figures(
        unit=unit,
        rule=operations.rule_of(test),
        arms=arms,
        contests=[_contest(one, reading, unit) for one in reading.comparisons] if reading else [],
        reading=reading,
        split_p=_p_value(reading.split_p_value) if reading else "–",
        is_split_as_set=reading is None or reading.split_p_value >= SPLIT_ALPHA,
        most_cost_usd=max((row.cost_usd for row in arms if row.cost_usd), default=Decimal(0)),
    )


def _arms(variants: list[AbVariant], reading: Reading | None, unit: Unit) -> list[ArmRow]:
    total = sum(variant.weight for variant in variants) or 1
    read = {arm.variant_id: arm for arm in reading.arms} if reading else {}
    rows = []
    for variant in variants:
        arm = read.get(variant.pk)
        cost = Decimal(str(arm.mean_cost_usd)) if arm and arm.mean_cost_usd is not None else None
        rows.append(
            ArmRow(
                variant=variant,
                share=variant.weight / total,
                seen_share=arm.assigned / reading.assigned if arm and reading and reading.assigned else None,
                arm=arm,
                outcome=unit.level(arm.mean if arm else None),
                cost_usd=cost,
                spent_usd=cost * arm.settled if arm and cost is not None else None,
            )
        )
    return rows


def _contest(one: Comparison, reading: Reading, unit: Unit) -> Contest:
    verdict, tone = "Not decided", "secondary"
    if one.is_better:
        verdict, tone = "Better", "green"
    elif one.is_worse:
        verdict, tone = "Worse", "red"
    return Contest(
        comparison=one,
        effect=unit.effect(one.effect),
        interval=unit.interval(one.lower, one.upper),
        verdict=verdict,
        tone=tone,
        path=[_path_row(point.subjects, point.lower, point.upper, point.effect, unit) for point in one.path],
        guards=[_guard_row(guard) for guard in one.guards],
        cost_change=_cost_change(one, reading),
    )


def _path_row(subjects: int, lower: float, upper: float, effect: float | None, unit: Unit) -> PathRow:
    low, high = sorted((unit.turned(lower), unit.turned(upper)))
    turned = None if effect is None else unit.turned(effect)
    return PathRow(subjects, low, high, turned, unit.interval(lower, upper))


def _guard_row(guard: Guard) -> GuardRow:
    return GuardRow(
        name=_guard_name(guard.metric),
        guard=guard,
        worsening="–" if guard.worsening is None else _guard_size(guard.metric, guard.worsening),
        at_least=_guard_size(guard.metric, guard.at_least) if guard.at_least > -1 else "–",
        tolerance=_guard_size(guard.metric, guard.tolerance),
    )


def _guard_name(metric: str) -> str:
    return "Cost of a run" if metric == "cost" else "Failed runs"


def _guard_size(metric: str, share: float) -> str:
    return f"{share * 100:+.1f} {'% of the cap' if metric == 'cost' else 'points'}".replace("-", "−")


def _cost_change(one: Comparison, reading: Reading) -> str:
    """How an issue's mean cost compares with the control's, in words; empty while either is unknown."""
    costs = {arm.variant_id: arm.mean_cost_usd for arm in reading.arms}
    control = next(arm.mean_cost_usd for arm in reading.arms if arm.is_control)
    treated = costs.get(one.variant_id)
    if not control or treated is None:
        return ""
    percent = round((treated / control - 1) * 100)
    return f"{abs(percent)} % {'less' if percent < 0 else 'more'} than" if percent else "as much as"


def _p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


@dataclass(frozen=True)
class ListRow:
    """An experiment in the list, with the effect that says most: of the proposed variant, or the largest."""

    test: AbTest
    reading: ExperimentReading | None
    effect: str
    interval: str
    unit: str
    name: str
    tone: str


def list_rows(tests: Sequence[AbTest], kept: dict[int, ExperimentReading]) -> list[ListRow]:
    return [_list_row(test, kept.get(test.pk)) for test in tests]


def _list_row(test: AbTest, kept: ExperimentReading | None) -> ListRow:
    reading = kept_reading(kept.content) if kept else None
    shown = [one for one in reading.comparisons if one.effect is not None] if reading else []
    if kept is None or not shown:
        return ListRow(test, kept, "", "", "", "", "secondary")
    proposed = [one for one in shown if one.variant_id == (test.winner_id or kept.proposed_variant_id)]
    one = max(proposed or shown, key=lambda found: found.effect or 0)
    unit = Unit.of(test)
    tone = "green" if one.is_better else "red" if one.is_worse else "secondary"
    name = one.name if len(shown) > 1 else ""
    return ListRow(
        test=test,
        reading=kept,
        effect=unit.effect(one.effect),
        interval=unit.interval(one.lower, one.upper),
        unit=unit.suffix,
        name=name,
        tone=tone,
    )


@dataclass(frozen=True)
class Event:
    """A line of the history, in words."""

    event: AuditEvent
    said: str
    reason: str


_SAID = {
    operations.CREATED: "made the draft",
    operations.CHANGED: "changed the draft",
    operations.STARTED: "started it",
    operations.PAUSED: "paused it",
    operations.RESUMED: "resumed it",
}
_PROPOSED = {
    "promote": "proposed to promote a variant",
    "keep_control": "proposed to keep the control",
    "stop_harm": "found a guardrail broken",
    "check_split": "found the split not as set",
}


def told(event: AuditEvent) -> Event:
    """An event of the audit log as a sentence that begins with its actor."""
    data = event.data
    said = _SAID.get(event.action, event.action)
    if event.action == operations.COMPLETED:
        said = f"promoted “{data.get('winner')}”" if data.get("winner") else "kept the control and ended it"
    elif "proposal" in data:
        said = _PROPOSED.get(data["proposal"], said)
    return Event(event, said, str(data.get("reason", "")))
