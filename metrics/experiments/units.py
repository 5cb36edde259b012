"""How outcomes and effects of an experiment are said to people, in the unit of its metric."""

from dataclasses import dataclass

from prompts.models import AbTest, ExperimentMetric


@dataclass(frozen=True)
class Unit:
    """Turns figures on [0, 1], where larger is better, into the metric's unit.

    Scores and rates become per cent and points. Costs and iterations are the share of `cap` that was not used: they
    are turned back, so that a smaller one is better again. What passed the cap counts as the cap.
    """

    metric: ExperimentMetric = ExperimentMetric.QUALITY_SCORE
    cap: float = 1.0

    @classmethod
    def of(cls, test: AbTest) -> "Unit":
        return cls(ExperimentMetric(test.metric), float(test.metric_cap or 1))

    @property
    def is_lower_better(self) -> bool:
        return self.metric.has_cap

    @property
    def name(self) -> str:
        return {ExperimentMetric.COST: "USD", ExperimentMetric.ITERATIONS: "iterations"}.get(self.metric, "points")

    @property
    def suffix(self) -> str:
        """What stands behind an effect; dollars carry their sign in front."""
        return "" if self.metric == ExperimentMetric.COST else self.name

    def level(self, mean: float | None) -> str:
        """A mean outcome."""
        if mean is None:
            return "–"
        match self.metric:
            case ExperimentMetric.COST:
                return f"${(1 - mean) * self.cap:,.3f}"
            case ExperimentMetric.ITERATIONS:
                return f"{(1 - mean) * self.cap:,.1f}"
            case _:
                return f"{mean * 100:.1f} %"

    def turned(self, effect: float) -> float:
        """An effect as a number of the unit, with the unit's sign: a saving is negative."""
        return -effect * self.cap if self.is_lower_better else effect * 100

    def effect(self, effect: float | None) -> str:
        """An effect with its sign, and without the unit's name where it stands beside an interval."""
        return "–" if effect is None else self._signed(self.turned(effect))

    def interval(self, lower: float, upper: float) -> str:
        """From the smaller number to the larger one, in the unit."""
        ends = sorted((self.turned(lower), self.turned(upper)))
        return f"{self._signed(ends[0])} to {self._signed(ends[1])}"

    def whole(self, effect: float | None, lower: float, upper: float) -> str:
        """Effect and interval in words, such as “+4.0 points (+1.2 to +6.8)”."""
        unit = f" {self.suffix}" if self.suffix else ""
        return f"{self.effect(effect)}{unit} ({self.interval(lower, upper)})"

    def _signed(self, value: float) -> str:
        sign = "−" if value < 0 else "+"
        if self.metric == ExperimentMetric.COST:
            return f"{sign}${abs(value):,.3f}"
        return f"{sign}{abs(value):,.1f}"


POINTS = Unit()
