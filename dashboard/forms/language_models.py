"""The form of a model preference."""

from collections.abc import Sequence
from typing import Any

from django import forms

from accounts.models import Account
from dashboard.forms.styled import StyledForm
from projects.models import Project
from prompts.models import LanguageModel, PromptCategory, Stance
from prompts.preference_operations import Terms

_PROVIDER = "provider"
_MODEL = "model"
_EVERY = "all"


class PreferenceForm(StyledForm):
    """One choice among providers and models, so that nobody can name both or neither."""

    stance = forms.ChoiceField(label="What", choices=Stance.choices)
    target = forms.ChoiceField(label="Which")
    project = forms.ModelChoiceField(
        Project.objects.none(), required=False, label="Where", empty_label="The whole account"
    )
    category = forms.TypedChoiceField(
        label="For",
        choices=[(_EVERY, "All tasks"), *PromptCategory.choices],
        coerce=lambda value: "" if value == _EVERY else value,
    )

    def __init__(self, account: Account, registry: Sequence[LanguageModel], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        projects: forms.ModelChoiceField[Project] = self.fields["project"]  # type: ignore[assignment]
        projects.queryset = Project.objects.filter(account=account).order_by("name")
        self.models = {str(model.pk): model for model in registry if model.is_active}
        target: forms.ChoiceField = self.fields["target"]  # type: ignore[assignment]
        providers = sorted({model.provider for model in self.models.values()})
        target.choices = [
            ("", "Choose one"),
            ("All models of a provider", [(f"{_PROVIDER}:{name}", name) for name in providers]),
            ("One model", [(f"{_MODEL}:{key}", str(model)) for key, model in self.models.items()]),
        ]

    def terms(self) -> Terms:
        found = self.cleaned_data
        kind, _, value = found["target"].partition(":")
        return Terms(
            stance=found["stance"],
            provider=value if kind == _PROVIDER else "",
            language_model=self.models[value] if kind == _MODEL else None,
            project=found["project"],
            category=found["category"],
        )
