"""Sums that the database keeps beside the rows, so that a page reads thousands of rows instead of millions.

Triggers book every change in the transaction that made it (metrics/sql/runs_daily.sql, quality_daily.sql,
spend_daily.sql); `manage.py rebuild_rollups` proves that the sums equal the rows and mends them. Each table is split by
one dimension at a time, never by several together: its size is days × values, not days × the product of all values.
"""

from typing import ClassVar

from django.db import models

from accounts.models import Account
from paid.lib.columns import usd
from paid.lib.constraints import one_of


class Dimension(models.TextChoices):
    """By what a sum is split. `ALL` is the account as a whole, with id 0; a run that nobody asked for has person 0."""

    ALL = "all", "All"
    PROJECT = "project", "Project"
    PROMPT_VERSION = "prompt_version", "Prompt version"
    LANGUAGE_MODEL = "language_model", "Model"
    PERSON = "person", "Person"


class DailySum(models.Model):
    """One day (UTC) of one value of one dimension. No CHECK holds the sums above zero: a rollup that lags behind after
    rows were loaded with triggers off must never stop a run from ending."""

    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    dimension = models.CharField(max_length=20, choices=Dimension.choices)
    dimension_id = models.BigIntegerField()
    day = models.DateField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.account_id} {self.dimension} {self.dimension_id} {self.day}"


class RunsDaily(DailySum):
    """Runs that have ended, on the day on which they were asked for. Live ones are few and read from their rows."""

    pk = models.CompositePrimaryKey("account_id", "dimension", "day", "dimension_id")
    completed = models.BigIntegerField(default=0, db_default=0)
    failed = models.BigIntegerField(default=0, db_default=0)
    stopped = models.BigIntegerField(default=0, db_default=0)
    timed = models.BigIntegerField(default=0, db_default=0)  # runs that had begun: the others have no duration
    milliseconds = models.BigIntegerField(default=0, db_default=0)
    iterations = models.BigIntegerField(default=0, db_default=0)
    cost_usd = usd(default=0, db_default=0)

    class Meta(DailySum.Meta):
        db_table = "runs_daily"
        constraints: ClassVar = [one_of("dimension", Dimension, "runs_daily_dimension_known")]


class Measure(models.TextChoices):
    """What is counted in buckets, and in which unit."""

    SECONDS = "seconds", "Duration"
    USD = "usd", "Cost"


class RunHistogram(models.Model):
    """Ended runs per day (UTC) and bucket, for percentiles that no page has to sort millions of runs for.

    Bucket i holds values in (1.02^(i-1), 1.02^i]; zero and below have a bucket of their own, -100000. A percentile read
    from it is at most 1 % off (see metrics/sql/runs_daily.sql).
    """

    pk = models.CompositePrimaryKey("account_id", "measure", "day", "bucket")
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    measure = models.CharField(max_length=10, choices=Measure.choices)
    day = models.DateField()
    bucket = models.IntegerField()
    runs = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "run_histograms"
        constraints: ClassVar = [one_of("measure", Measure, "run_histograms_measure_known")]

    def __str__(self) -> str:
        return f"{self.account_id} {self.measure} {self.day} {self.bucket}: {self.runs}"


class QualityDaily(DailySum):
    """What runs were worth, on the day (UTC) on which their quality was first written. What is not known of a run is
    in neither of a pair of counts: `merged + unmerged` is how many are known."""

    pk = models.CompositePrimaryKey("account_id", "dimension", "day", "dimension_id")
    runs = models.BigIntegerField(default=0, db_default=0)
    scored = models.BigIntegerField(default=0, db_default=0)
    score_sum = models.DecimalField(max_digits=20, decimal_places=5, default=0, db_default=0)
    merged = models.BigIntegerField(default=0, db_default=0)
    unmerged = models.BigIntegerField(default=0, db_default=0)
    tests_passed = models.BigIntegerField(default=0, db_default=0)
    tests_failed = models.BigIntegerField(default=0, db_default=0)
    ci_passed = models.BigIntegerField(default=0, db_default=0)
    ci_failed = models.BigIntegerField(default=0, db_default=0)
    votes_up = models.BigIntegerField(default=0, db_default=0)
    votes_down = models.BigIntegerField(default=0, db_default=0)

    class Meta(DailySum.Meta):
        db_table = "quality_daily"
        constraints: ClassVar = [one_of("dimension", Dimension, "quality_daily_dimension_known")]


class SpendDaily(DailySum):
    """Ledger rows per prompt version and per person, by the day (UTC) of the ledger row; `usage_daily` has them per
    project and model. Split in 16 slots, because every model call adds to it; closed days are folded into slot 0, and
    slot -1 is what dropped months of the ledger came to."""

    pk = models.CompositePrimaryKey("account_id", "dimension", "day", "dimension_id", "slot")
    slot = models.SmallIntegerField()
    calls = models.BigIntegerField(default=0, db_default=0)
    unpriced_calls = models.BigIntegerField(default=0, db_default=0)
    cost_usd = usd(default=0, db_default=0)

    class Meta(DailySum.Meta):
        # No CHECKs: only functions of metrics/sql write here, and each model call would pay for them (decision 0051).
        db_table = "spend_daily"
