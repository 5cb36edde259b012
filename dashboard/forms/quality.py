"""The weights of the quality score."""

from decimal import Decimal
from typing import Any

from django import forms

from dashboard.forms.styled import StyledForm
from metrics.quality.score import QualityWeights

_SAID = {
    "merged": ("Merged", "Its pull request was merged."),
    "ci": ("CI", "The forge's checks pass."),
    "tests": ("Tests", "The tests in the workspace pass."),
    "review": ("Review", "A reviewer approved it."),
    "votes": ("Votes", "The share of thumbs up."),
    "lint": ("Lint", "The linter has nothing to say."),
    "turns": ("Turns", "Fewer turns are better; 20 are worth half."),
}


class QualityWeightsForm(StyledForm):
    """One field for each weight, by its name in `QualityWeights`."""

    def __init__(self, *args: Any, weights: QualityWeights, **kwargs: Any) -> None:
        super().__init__(*args, initial=weights.model_dump(), **kwargs)
        for name, (label, help_text) in _SAID.items():
            self.add_field(
                name,
                forms.DecimalField(
                    label=label, help_text=help_text, min_value=Decimal(0), max_value=Decimal(1_000), decimal_places=3
                ),
            )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors and not any(cleaned.values()):
            self.add_error(None, "Give at least one signal a weight: otherwise every run is worth nothing.")
        return cleaned

    def weights(self) -> QualityWeights:
        return QualityWeights(**self.cleaned_data)
