"""The subjects of an experiment as arrays, in the order of their assignment."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from django.db import connection
from django.utils import timezone

from agent_runs.models import RunStatus
from agent_runs.models.runs import TERMINAL_STATUSES
from metrics.statistics.scores import Booleans, Floats
from paid.lib.sql import statement
from prompts.experiments.operations import rule_of
from prompts.models import AbTest, ExperimentMetric

# What an issue's text and labels are divided by, so that covariates lie in [0, 1]; longer ones count as this long.
_LONGEST_TEXT = 100_000
_MOST_LABELS = 10


@dataclass(frozen=True)
class Subjects:
    """All arrays have one entry per subject, in the order of assignment; covariates are (n, 2).

    `outcomes` lie in [0, 1] and larger is better, whatever the metric. They mean something where `is_settled`.
    `costs` are USD; `unscored` counts subjects that never got their figure and are counted as the worst.
    """

    variants: np.ndarray[Any, np.dtype[np.int64]]
    outcomes: Floats
    is_settled: Booleans
    has_failed: Booleans
    costs: Floats
    covariates: Floats
    unscored: int

    def settled_prefix(self) -> int:
        """How many subjects count: all up to the first one without an outcome.

        Who is counted must not depend on how quickly the outcome came, or quick failures would come before slow
        successes.
        """
        waiting = np.flatnonzero(~self.is_settled)
        return int(waiting[0]) if len(waiting) else len(self.outcomes)


@dataclass(frozen=True)
class _Row:
    variant_id: int
    status: str
    finished_at: datetime | None
    cost_usd: Decimal
    iterations: int
    quality_score: Decimal | None
    is_merged: bool | None
    text_length: int
    label_count: int


def subjects_of(test: AbTest) -> Subjects:
    """Inside of `tenant` or `platform`."""
    with connection.cursor() as cursor:
        cursor.execute(
            statement("metrics", "experiment_subjects", "subjects_of_experiment"),
            {"account_id": test.account_id, "test_id": test.pk},
        )
        rows = [_Row(*row) for row in cursor.fetchall()]
    mature_before = timezone.now() - timedelta(hours=rule_of(test).maturity_hours)
    judged = [_outcome(row, test, mature_before) for row in rows]
    return Subjects(
        variants=np.array([row.variant_id for row in rows], dtype=np.int64),
        outcomes=np.array([outcome or 0.0 for outcome, _ in judged], dtype=np.float64),
        is_settled=np.array([outcome is not None for outcome, _ in judged], dtype=bool),
        has_failed=np.array([row.status in (RunStatus.FAILED, RunStatus.STOPPED) for row in rows], dtype=bool),
        costs=np.array([row.cost_usd for row in rows], dtype=np.float64),
        covariates=np.array([_traits(row) for row in rows], dtype=np.float64).reshape(len(rows), 2),
        unscored=sum(is_unscored for _, is_unscored in judged),
    )


def _traits(row: _Row) -> tuple[float, float]:
    """What was known of the issue before its assignment, each in [0, 1]."""
    length = math.log1p(min(row.text_length, _LONGEST_TEXT)) / math.log1p(_LONGEST_TEXT)
    return length, min(row.label_count, _MOST_LABELS) / _MOST_LABELS


def _outcome(row: _Row, test: AbTest, mature_before: datetime) -> tuple[float | None, bool]:
    """The outcome, None while it is not known, and whether it is the worst for want of a figure.

    By intention to treat: every assigned issue counts, and a run that failed or was stopped is worth nothing.
    """
    if row.status not in TERMINAL_STATUSES or row.finished_at is None:
        return None, False
    is_mature = row.finished_at <= mature_before
    has_succeeded = row.status == RunStatus.COMPLETED
    match test.metric:
        case ExperimentMetric.COST:
            return 1 - min(float(row.cost_usd / _cap(test)), 1.0), False
        case ExperimentMetric.ITERATIONS:
            return (1 - min(row.iterations / float(_cap(test)), 1.0) if has_succeeded else 0.0), False
        case ExperimentMetric.MERGE_RATE:
            known = row.is_merged if has_succeeded else False
            return (float(known) if known is not None else 0.0 if is_mature else None), False
        case _:
            if not has_succeeded:
                return 0.0, False
            # A merge decides about the score, so the score counts when it is known, or when it is late enough.
            if row.is_merged is None and not is_mature:
                return None, False
            return float(row.quality_score or 0), row.quality_score is None


def _cap(test: AbTest) -> Decimal:
    assert test.metric_cap is not None, "the database holds a cap for metrics without a bound"  # noqa: S101
    return test.metric_cap
