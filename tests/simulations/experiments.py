"""The figures. Each decision is looked at after every run, as people with a dashboard do."""

import hashlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from metrics.statistics.balance import log_evidence_of_mismatch
from metrics.statistics.betting import shown
from metrics.statistics.scores import Booleans, Floats, effect_scores
from tests.simulations.report import Row

ALPHA = 0.05
SRM_ALPHA = 0.01
MEAN, CONCENTRATION = 0.6, 5.25  # of Beta-distributed quality scores: standard deviation 0.196
EFFECT = 0.05
# Many experiments at once, but not so many that their arrays fill the memory.
BATCH = 250


@dataclass(frozen=True)
class Size:
    experiments: int
    runs: int
    subjects: int
    seed: int


def every_figure(size: Size) -> Iterator[Row]:
    random = np.random.default_rng(size.seed)
    yield from false_positives(random, size)
    yield from power(random, size)
    yield assignment_balance(size)
    yield from mismatches(random, size)


def quality(random: np.random.Generator, mean: float, shape: tuple[int, int]) -> Floats:
    return random.beta(mean * CONCENTRATION, (1 - mean) * CONCENTRATION, shape)


def merges(random: np.random.Generator, mean: float, shape: tuple[int, int]) -> Floats:
    return (random.random(shape) < mean).astype(np.float64)


def batches(size: Size) -> Iterator[int]:
    for start in range(0, size.experiments, BATCH):
        yield min(BATCH, size.experiments - start)


def welch_ever_rejects(outcomes: Floats, treated: Booleans) -> Booleans:
    """Whether |t| passes its 5 % mark at any look from two subjects an arm on: what peeking does to a t-test."""
    sums = []
    for arm in (treated, ~treated):
        count = np.cumsum(arm, axis=-1).astype(np.float64)
        total = np.cumsum(np.where(arm, outcomes, 0), axis=-1)
        squares = np.cumsum(np.where(arm, np.square(outcomes), 0), axis=-1)
        enough = np.maximum(count, 2)
        variance = np.maximum(squares - np.square(total) / enough, 0) / (enough - 1)
        sums.append((count, total / enough, variance / enough))
    (count_1, mean_1, error_1), (count_0, mean_0, error_0) = sums
    error = error_1 + error_0
    freedom = np.square(error) / np.maximum(
        np.square(error_1) / np.maximum(count_1 - 1, 1) + np.square(error_0) / np.maximum(count_0 - 1, 1), 1e-300
    )
    t = np.abs(mean_1 - mean_0) / np.sqrt(np.maximum(error, 1e-300))
    may_look = (count_1 >= 2) & (count_0 >= 2) & (error > 0)
    rejected: Booleans = (may_look & (2 * stats.t.sf(t, np.maximum(freedom, 1)) < ALPHA)).any(axis=-1)
    return rejected


def with_error(share: float, count: int) -> str:
    return f"{share:.1%} (± {1.96 * math.sqrt(share * (1 - share) / count):.1%})"


def false_positives(random: np.random.Generator, size: Size) -> Iterator[Row]:
    kinds = (
        ("quality score", quality, 0.5),
        ("merged or not", merges, 0.5),
        ("quality score, split 1:9", quality, 0.1),
    )
    for name, draw, share in kinds:
        ours = peeked = 0
        for count in batches(size):
            shape = (count, size.runs)
            treated = random.random(shape) < share
            outcomes = draw(random, MEAN, shape)
            above, below = shown(effect_scores(outcomes, treated, share), 0.0, ALPHA)
            ours += int((above[:, -1] | below[:, -1]).sum())
            peeked += int(welch_ever_rejects(outcomes, treated).sum())
        yield Row(
            f"A/A, {name}: experiments that ever show an effect",
            with_error(ours / size.experiments, size.experiments),
            "≤ 5 %",
        )
        yield Row(
            f"A/A, {name}: the same by Welch's t, looked at after every run",
            with_error(peeked / size.experiments, size.experiments),
            "for comparison",
        )


def power(random: np.random.Generator, size: Size) -> Iterator[Row]:
    deviation = math.sqrt(MEAN * (1 - MEAN) / (CONCENTRATION + 1))
    fixed = math.ceil(4 * (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2 * deviation**2 / EFFECT**2)
    decided_at: list[Floats] = []
    started = time.perf_counter()
    for count in batches(size):
        shape = (count, size.runs)
        treated = random.random(shape) < 0.5
        outcomes = np.where(treated, quality(random, MEAN + EFFECT, shape), quality(random, MEAN, shape))
        above, _ = shown(effect_scores(outcomes, treated, 0.5), 0.0, ALPHA)
        decided_at.append(np.where(above[:, -1], above.argmax(axis=-1) + 1, np.inf))
    seconds = time.perf_counter() - started
    when = np.concatenate(decided_at)
    found = float((when <= size.runs).mean())
    at_80 = float(np.quantile(when, 0.8))
    yield Row(f"power: +{EFFECT} quality found within {size.runs:,} runs", with_error(found, len(when)), "reported")
    yield Row(
        f"runs until +{EFFECT} is found: median / 80 % of experiments",
        f"{np.median(when):,.0f} / {at_80:,.0f}",
        f"t-test of one look needs {fixed:,} for power 80 %",
    )
    yield Row(
        "time to look at one run of one experiment", f"{seconds / when.size / size.runs * 1e9:.0f} ns", "reported"
    )


def assignment_balance(size: Size) -> Row:
    """Draws as the database does; tests/prompts/test_resolution.py holds its function against the same draw."""
    salt, weights = "a-salt", np.array([50, 30, 20])
    edges = np.cumsum(weights) / weights.sum()
    counts = np.zeros(len(weights))
    for number in range(size.subjects):
        digest = hashlib.sha256(f"{len(salt)}:{salt}{number}".encode()).digest()
        draw = int.from_bytes(digest[6:12]) / 2**48
        counts[np.searchsorted(edges, draw, side="right")] += 1
    p_value = float(stats.chisquare(counts, weights / weights.sum() * size.subjects).pvalue)
    shares = " : ".join(f"{count / size.subjects:.2%}" for count in counts)
    return Row(f"assignment of {size.subjects:,} subjects at 50:30:20", f"{shares}, χ² p = {p_value:.2f}", "p > 0.001")


def mismatches(random: np.random.Generator, size: Size) -> Iterator[Row]:
    subjects, half = 10_000, np.array([0.5, 0.5])
    for share, name, wanted in ((0.5, "false alarms at 50:50", "≤ 1 %"), (0.52, "found at 52:48", "≥ 70 %")):
        alarms = 0
        for count in batches(size):
            first = np.cumsum(random.random((count, subjects)) < share, axis=-1, dtype=np.float64)
            counts = np.stack([first, np.arange(1, subjects + 1) - first], axis=-1)
            alarms += int((log_evidence_of_mismatch(counts, half).max(axis=-1) >= math.log(1 / SRM_ALPHA)).sum())
        yield Row(
            f"split mismatch within {subjects:,} subjects, looked at after each: {name}",
            with_error(alarms / size.experiments, size.experiments),
            wanted,
        )
