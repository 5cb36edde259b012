"""What the rule makes of a reading."""

from dataclasses import dataclass

from metrics.experiments.reading import Reading
from metrics.experiments.units import POINTS, Unit
from metrics.models import Proposal
from prompts.experiments.rule import DecisionRule

# A broken split is an error of ours, not a result: it is called only when it is next to certain.
SPLIT_ALPHA = 0.01


@dataclass(frozen=True)
class Decision:
    proposal: Proposal
    variant_id: int | None
    reason: str


def decide(reading: Reading, rule: DecisionRule, unit: Unit = POINTS) -> Decision:
    """In this order: a split not as set, a broken guardrail, a variant shown better, none that can be, the end."""
    if reading.split_p_value < SPLIT_ALPHA:
        return Decision(
            Proposal.CHECK_SPLIT,
            None,
            f"Issues did not fall into the variants as set (p = {reading.split_p_value:.2g}): something loses or moves "
            "them, so nothing can be concluded. Look for runs that never start in one variant.",
        )
    if broken := _broken(reading):
        return broken
    control = next(arm for arm in reading.arms if arm.is_control)
    settled = {arm.variant_id: arm.settled for arm in reading.arms}
    ready = [
        one for one in reading.comparisons if min(control.settled, settled[one.variant_id]) >= rule.minimum_subjects
    ]
    better = [one for one in ready if one.is_better and one.lower >= rule.smallest_worthwhile_effect]
    if better:
        best = max(better, key=lambda one: one.effect or 0)
        return Decision(
            Proposal.PROMOTE,
            best.variant_id,
            f"“{best.name}” is better than the control: {unit.whole(best.effect, best.lower, best.upper)}, valid at "
            f"every look with {(1 - rule.alpha) * 100:.0f} % confidence.",
        )
    hopeless = [one for one in ready if one.is_worse or one.upper < rule.smallest_worthwhile_effect]
    if len(hopeless) == len(reading.comparisons):
        return Decision(Proposal.KEEP_CONTROL, None, "No variant can be better than the control by what is worth it.")
    if reading.settled >= rule.maximum_subjects:
        return Decision(
            Proposal.KEEP_CONTROL, None, f"{reading.settled:,} issues did not show a difference; the control stays."
        )
    return Decision(Proposal.WAIT, None, _waiting(reading, control.settled, rule))


def _broken(reading: Reading) -> Decision | None:
    for one in reading.comparisons:
        for guard in one.guards:
            if guard.is_broken:
                what = "cost" if guard.metric == "cost" else "share of failed runs"
                return Decision(
                    Proposal.STOP_HARM,
                    one.variant_id,
                    f"“{one.name}” makes the {what} worse by at least {guard.at_least:.1%}; {guard.tolerance:.1%} is "
                    "allowed.",
                )
    return None


def _waiting(reading: Reading, control: int, rule: DecisionRule) -> str:
    fewest = min([control, *(arm.settled for arm in reading.arms)])
    if fewest < rule.minimum_subjects:
        return f"Each variant needs {rule.minimum_subjects} issues with an outcome; the smallest has {fewest}."
    return "Neither better nor worse is shown yet."
