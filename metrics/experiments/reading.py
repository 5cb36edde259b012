"""One look at an experiment: every figure that the page shows and the rule decides by."""

import math

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from metrics.experiments.subjects import Subjects
from metrics.statistics.balance import log_evidence_of_mismatch
from metrics.statistics.betting import Interval, confidence_sequence, shown
from metrics.statistics.classical import welch
from metrics.statistics.scores import Booleans, Floats, Scores, effect_scores
from prompts.experiments.rule import DecisionRule, Guardrail
from prompts.models import AbVariant

# Points of the interval's path that are kept for the chart.
_PATH_POINTS = 120


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Arm(Frozen):
    """`mean` is of settled outcomes on [0, 1], larger is better; None before the first."""

    variant_id: int
    name: str
    is_control: bool
    weight: int
    assigned: int
    settled: int
    mean: float | None
    mean_cost_usd: float | None
    failure_rate: float | None


class PathPoint(Frozen):
    """The effect and its interval as they stood after so many subjects."""

    subjects: int
    lower: float
    upper: float
    effect: float | None = None


class Guard(Frozen):
    """`at_least` is the smallest worsening that is not ruled out, in shares; broken when it passes `tolerance`."""

    metric: str
    tolerance: float
    worsening: float | None
    at_least: float
    is_broken: bool


class Comparison(Frozen):
    """A treatment with the control. `effect` and its interval are on [0, 1], larger is better, valid at any look.

    `welch_p_value` and `probability_to_beat` hold for a single look at a size that was fixed before.
    """

    variant_id: int
    name: str
    subjects: int
    effect: float | None
    lower: float
    upper: float
    is_better: bool
    is_worse: bool
    path: tuple[PathPoint, ...]
    difference: float
    welch_p_value: float | None
    probability_to_beat: float | None
    guards: tuple[Guard, ...]


class Reading(Frozen):
    """`split_p_value` may be looked at after every subject."""

    assigned: int
    settled: int
    unscored: int
    alpha: float
    split_p_value: float
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...]


def read_experiment(subjects: Subjects, variants: list[AbVariant], rule: DecisionRule) -> Reading:
    """The comparison of each variant with the control takes its part of alpha (Bonferroni)."""
    count = subjects.settled_prefix()
    control = next(variant for variant in variants if variant.is_control)
    treatments = [variant for variant in variants if not variant.is_control]
    alpha = rule.alpha / len(treatments)
    return Reading(
        assigned=len(subjects.outcomes),
        settled=count,
        unscored=subjects.unscored,
        alpha=rule.alpha,
        split_p_value=_split(subjects, variants),
        arms=tuple(_arm(subjects, count, variant) for variant in variants),
        comparisons=tuple(_compare(subjects, count, control, variant, rule, alpha) for variant in treatments),
    )


def _split(subjects: Subjects, variants: list[AbVariant]) -> float:
    """Over all assigned subjects, settled or not; the smallest value that was ever seen, which stays valid."""
    if not len(subjects.variants):
        return 1.0
    weights = np.array([variant.weight for variant in variants], dtype=np.float64)
    counts = np.stack([np.cumsum(subjects.variants == variant.pk) for variant in variants], axis=-1).astype(np.float64)
    evidence = log_evidence_of_mismatch(counts, weights / weights.sum())
    return min(1.0, math.exp(-float(evidence.max())))


def _arm(subjects: Subjects, count: int, variant: AbVariant) -> Arm:
    is_here = subjects.variants == variant.pk
    is_settled = is_here[:count]
    settled = int(is_settled.sum())
    return Arm(
        variant_id=variant.pk,
        name=variant.name,
        is_control=variant.is_control,
        weight=variant.weight,
        assigned=int(is_here.sum()),
        settled=settled,
        mean=float(subjects.outcomes[:count][is_settled].mean()) if settled else None,
        mean_cost_usd=float(subjects.costs[:count][is_settled].mean()) if settled else None,
        failure_rate=float(subjects.has_failed[:count][is_settled].mean()) if settled else None,
    )


def _compare(
    subjects: Subjects, count: int, control: AbVariant, treatment: AbVariant, rule: DecisionRule, alpha: float
) -> Comparison:
    chosen = np.isin(subjects.variants[:count], [control.pk, treatment.pk])
    treated = (subjects.variants[:count] == treatment.pk)[chosen]
    share = treatment.weight / (treatment.weight + control.weight)
    outcomes = subjects.outcomes[:count][chosen]
    covariates = subjects.covariates[:count][chosen] if rule.is_adjusted else None
    scores = effect_scores(outcomes, treated, share, covariates)
    interval = confidence_sequence(scores, alpha)
    above, below = shown(scores, 0.0, alpha)
    one_look = welch(outcomes[treated], outcomes[~treated])
    costs, failed = subjects.costs[:count][chosen], subjects.has_failed[:count][chosen].astype(np.float64)
    guard_alpha = alpha / max(len(rule.guardrails), 1)
    return Comparison(
        variant_id=treatment.pk,
        name=treatment.name,
        subjects=len(outcomes),
        effect=float(scores.values.mean()) if len(outcomes) else None,
        lower=_last(interval.lower, -1.0),
        upper=_last(interval.upper, 1.0),
        is_better=bool(above.any()),
        is_worse=bool(below.any()),
        path=_path(interval, scores.values),
        difference=one_look.difference,
        welch_p_value=one_look.p_value,
        probability_to_beat=one_look.probability_to_beat,
        guards=tuple(_guard(guard, costs, failed, treated, share, guard_alpha) for guard in rule.guardrails),
    )


def _guard(guard: Guardrail, costs: Floats, failed: Floats, treated: Booleans, share: float, alpha: float) -> Guard:
    """A larger outcome is worse here."""
    outcomes = failed if guard.cap_usd is None else np.minimum(costs / float(guard.cap_usd), 1.0)
    scores: Scores = effect_scores(outcomes, treated, share)
    above, _ = shown(scores, guard.tolerance, alpha)
    return Guard(
        metric=guard.metric,
        tolerance=guard.tolerance,
        worsening=float(scores.values.mean()) if len(outcomes) else None,
        at_least=_last(confidence_sequence(scores, alpha).lower, -1.0),
        is_broken=bool(above.any()),
    )


def _last(ends: Floats, without: float) -> float:
    return float(ends[-1]) if len(ends) else without


def _path(interval: Interval, scores: Floats) -> tuple[PathPoint, ...]:
    count = len(interval.lower)
    if not count:
        return ()
    places = np.unique(np.linspace(0, count - 1, min(count, _PATH_POINTS)).astype(int))
    effects = np.cumsum(scores)[places] / (places + 1)
    return tuple(
        PathPoint(
            subjects=int(place) + 1,
            lower=float(interval.lower[place]),
            upper=float(interval.upper[place]),
            effect=float(effect),
        )
        for place, effect in zip(places, effects, strict=True)
    )


def kept_reading(content: object) -> Reading | None:
    """A reading from its row. One that an older Paid wrote in another shape counts as none until the next look."""
    try:
        return Reading.model_validate(content)
    except ValidationError:
        return None
