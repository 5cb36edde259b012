"""Forms of experiments. Shares and effects are asked for in per cent and points, as the pages show them."""

from decimal import Decimal
from typing import Any

from django import forms

from dashboard.forms.styled import StyledForm
from prompts.experiments.operations import Arm, Shares
from prompts.models import AbVariant, ExperimentMetric, Prompt, PromptVersion

MOST_TREATMENTS = 3
KEEP = "keep"
_HUNDRED = Decimal(100)
_WEIGHT: dict[str, Any] = {"min_value": 1, "max_value": 1_000_000, "initial": 1, "label": "Weight"}


class ChoosePromptForm(StyledForm):
    """Which prompt an experiment is about: one that has two versions to compare."""

    prompt = forms.ModelChoiceField(
        Prompt.objects.none(),
        empty_label=None,
        help_text="Prompts with at least two versions. Write another version first if yours is not here.",
    )

    def __init__(self, prompts: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: forms.ModelChoiceField[Prompt] = self.fields["prompt"]  # type: ignore[assignment]
        field.queryset = prompts
        field.label_from_instance = _prompt_said  # type: ignore[method-assign]  # Django's own way


def _prompt_said(obj: Prompt) -> str:
    return f"{obj.name} ({obj.slug})"


class ExperimentForm(StyledForm):
    """A draft. Each treatment is a version, a weight and, if wanted, a name; empty ones are left out."""

    name = forms.CharField(max_length=200, label="Name")
    hypothesis = forms.CharField(
        required=False,
        max_length=2_000,
        label="What you expect and why",
        widget=forms.Textarea({"rows": 2}),
    )
    control_weight = forms.IntegerField(**_WEIGHT)
    metric = forms.ChoiceField(
        choices=ExperimentMetric.choices,
        initial=ExperimentMetric.QUALITY_SCORE,
        label="What decides",
        help_text="Fixed by the start. The others are shown beside it.",
    )
    metric_cap = forms.DecimalField(
        required=False,
        min_value=Decimal("0.0001"),
        max_value=Decimal(1_000_000),
        label="Counts as the worst from",
        help_text="For cost (USD) and iterations only: they have no natural bound. Choose what a bad run takes.",
    )
    traffic_percent = forms.DecimalField(
        min_value=Decimal("0.01"),
        max_value=_HUNDRED,
        decimal_places=2,
        initial=100,
        label="Issues that take part, in %",
        help_text="The others get the version in use. An issue stays where it fell.",
    )
    holdout_percent = forms.DecimalField(
        min_value=Decimal(0),
        max_value=Decimal(50),
        decimal_places=2,
        initial=0,
        label="Held out of every experiment, in %",
        help_text="The same issues in all experiments of the account, to see later what experiments were worth.",
    )
    alpha = forms.TypedChoiceField(
        choices=[("0.1", "90 %"), ("0.05", "95 %"), ("0.01", "99 %")],
        initial="0.05",
        coerce=float,
        label="Confidence",
        help_text="Holds over all looks and variants together: look as often as you like.",
    )
    smallest_effect = forms.FloatField(
        min_value=0,
        max_value=100,
        initial=0,
        label="Smallest effect that is worth it",
        help_text="In points of quality or merge rate, or in % of the cap. 0: any improvement that is shown.",
    )
    minimum_subjects = forms.IntegerField(
        min_value=2,
        max_value=100_000,
        initial=30,
        label="Issues per variant before a decision",
        help_text="An issue counts with its first run.",
    )
    maximum_subjects = forms.IntegerField(
        min_value=10,
        max_value=1_000_000,
        initial=2_000,
        label="Issues after which it ends in any case",
        help_text="In simulations half of all experiments found +5 points of quality within 500 issues. "
        "Halving the effect takes about four times as many.",
    )
    maturity_days = forms.IntegerField(
        min_value=0,
        max_value=90,
        initial=7,
        label="Days to wait for a merge",
        help_text="A pull request that nobody judged by then counts as it stands.",
    )
    failure_tolerance = forms.FloatField(
        required=False,
        min_value=0,
        max_value=100,
        initial=5,
        label="Stop when runs fail more often, by points",
        help_text="Once it is shown that a variant fails more often by more than this, Paid pauses. Empty: no limit.",
    )
    cost_cap_usd = forms.DecimalField(
        required=False,
        min_value=Decimal("0.0001"),
        max_value=Decimal(1_000_000),
        label="Watch costs up to, in USD a run",
        help_text="A dearer run counts as this much. Empty: costs are shown, but stop nothing.",
    )
    cost_tolerance = forms.FloatField(
        min_value=0,
        max_value=100,
        initial=10,
        label="Stop when runs cost more, by % of that",
    )
    is_adjusted = forms.BooleanField(
        required=False,
        initial=True,
        label="Use the length of the issue and its labels to narrow the interval",
    )
    promotes_automatically = forms.BooleanField(
        required=False, label="Promote a winner without asking (otherwise an admin decides)"
    )

    def __init__(self, prompt: Prompt, versions: list[PromptVersion], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.versions = {str(version.version): version for version in versions}
        current = str(prompt.current_version.version) if prompt.current_version else next(iter(self.versions))
        newest = next((number for number in self.versions if number != current), "")
        choices = [(number, _said(version, current)) for number, version in self.versions.items()]
        self.add_field("control_version", forms.ChoiceField(choices=choices, initial=current, label="Version"))
        for place in range(1, MOST_TREATMENTS + 1):
            is_first = place == 1
            offered = choices if is_first else [("", "No further variant"), *choices]
            self.add_field(
                f"treatment_{place}_version",
                forms.ChoiceField(
                    choices=offered, required=is_first, initial=newest if is_first else "", label="Version"
                ),
            )
            self.add_field(f"treatment_{place}_weight", forms.IntegerField(**_WEIGHT))
            self.add_field(
                f"treatment_{place}_name",
                forms.CharField(
                    required=False,
                    max_length=100,
                    label="Name",
                    widget=forms.TextInput({"placeholder": "such as “shorter”"}),
                ),
            )

    @property
    def treatment_fields(self) -> list[dict[str, forms.BoundField]]:
        return [
            {part: self[f"treatment_{place}_{part}"] for part in ("version", "weight", "name")}
            for place in range(1, MOST_TREATMENTS + 1)
        ]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        metric = cleaned.get("metric")
        if (
            metric
            and ExperimentMetric(metric).has_cap
            and not cleaned.get("metric_cap")
            and not self.has_error("metric_cap")
        ):
            self.add_error(
                "metric_cap", "Cost and iterations have no natural bound: say from where on they are the worst."
            )
        least, most = cleaned.get("minimum_subjects"), cleaned.get("maximum_subjects")
        if least and most and most < 2 * least:
            self.add_error("maximum_subjects", "Give at least twice the issues per variant: there are two or more.")
        return cleaned

    def control(self) -> Arm:
        return Arm(self.versions[self.cleaned_data["control_version"]], "control", self.cleaned_data["control_weight"])

    def treatments(self) -> list[Arm]:
        found = []
        for place in range(1, MOST_TREATMENTS + 1):
            number, weight, name = (
                self.cleaned_data[f"treatment_{place}_{part}"] for part in ("version", "weight", "name")
            )
            if number:
                found.append(Arm(self.versions[number], name or f"v{number}", weight))
        return found

    def shares(self) -> Shares:
        return Shares(self.cleaned_data["traffic_percent"] / _HUNDRED, self.cleaned_data["holdout_percent"] / _HUNDRED)

    def rule(self) -> dict[str, object]:
        """What `rule_from` takes."""
        data = self.cleaned_data
        guardrails: list[dict[str, object]] = []
        if data["failure_tolerance"] is not None:
            guardrails.append({"metric": "failure_rate", "tolerance": data["failure_tolerance"] / 100})
        if data["cost_cap_usd"]:
            guardrails.append(
                {"metric": "cost", "tolerance": data["cost_tolerance"] / 100, "cap_usd": data["cost_cap_usd"]}
            )
        return {
            "alpha": data["alpha"],
            "smallest_worthwhile_effect": data["smallest_effect"] / 100,
            "minimum_subjects": data["minimum_subjects"],
            "maximum_subjects": data["maximum_subjects"],
            "maturity_hours": data["maturity_days"] * 24,
            "is_adjusted": data["is_adjusted"],
            "promotes_automatically": data["promotes_automatically"],
            "guardrails": guardrails,
        }


def _said(version: PromptVersion, current: str) -> str:
    notes = f" – {version.change_notes[:60]}" if version.change_notes else ""
    return f"v{version.version}{' (in use)' if str(version.version) == current else ''}{notes}"


class ConcludeForm(StyledForm):
    """The last word on an experiment. The first choice promotes nothing, so that a hasty answer changes nothing."""

    winner = forms.ChoiceField(label="From now on")
    reason = forms.CharField(
        required=False,
        max_length=2_000,
        widget=forms.Textarea({"rows": 2}),
        help_text="Kept with the experiment, for whoever asks later.",
    )

    def __init__(self, variants: list[AbVariant], current: PromptVersion | None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: forms.ChoiceField = self.fields["winner"]  # type: ignore[assignment]
        field.choices = [
            (KEEP, _kept(variant, current))
            if variant.is_control
            else (str(variant.pk), f"Promote “{variant.name}” (v{variant.prompt_version.version})")
            for variant in variants
        ]


def _kept(control: AbVariant, current: PromptVersion | None) -> str:
    """Ending without a winner promotes nothing, which is the control only if that is the version in use."""
    if current is None or current.pk == control.prompt_version_id:
        return f"Keep the control (v{control.prompt_version.version})"
    return f"Promote nothing (v{current.version} stays in use)"
