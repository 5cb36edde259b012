"""Forms of the admin for prompts and prices."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.admin_base import TenantForm
from prompts.errors import PreferenceTarget, StyleGuideExists, TemplateRefused
from prompts.models import ModelPrice, Prompt, PromptLabel, PromptVersion, StyleGuide
from prompts.operations import PromptText
from prompts.template_check import check_template, known_variables


class PromptForm(TenantForm):
    """A prompt with the text of a version. `based_on` remembers which version the text was written from."""

    template = forms.CharField(widget=forms.Textarea(attrs={"rows": 30, "class": "vLargeTextField template"}))
    system_prompt = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "class": "vLargeTextField template"}),
        help_text="May not hold what was written outside of your team, such as an issue's title.",
    )
    change_notes = forms.CharField(required=False, max_length=1000, help_text="What is new in this version, and why.")
    based_on = forms.IntegerField(required=False, widget=forms.HiddenInput)

    parent: PromptVersion | None = None
    has_new_text = True

    class Meta:
        model = Prompt
        fields = ("account", "project", "slug", "name", "category", "description")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        version = self._shown_version()
        if version is not None:
            self.initial.update(
                template=version.template, system_prompt=version.system_prompt, based_on=version.version
            )

    @staticmethod
    def variables_help() -> str:
        return f"Variables: {', '.join(known_variables())}."

    def clean_template(self) -> str:
        return self._checked("template", is_system_prompt=False)

    def clean_system_prompt(self) -> str:
        return self._checked("system_prompt", is_system_prompt=True)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.instance.pk and {"template", "system_prompt"} <= cleaned.keys():
            self.parent = PromptVersion.objects.filter(
                prompt=self.instance, version=cleaned.get("based_on") or 0
            ).first()
            text = PromptText(cleaned["template"], cleaned["system_prompt"])
            self.has_new_text = self.parent is None or text != PromptText(
                self.parent.template, self.parent.system_prompt
            )
        elif not self.instance.pk and self._is_taken(cleaned):
            self.add_error("slug", "There is a prompt with this slug in this scope already. Edit that one.")
        return cleaned

    def _shown_version(self) -> PromptVersion | None:
        if not self.instance.pk:
            return None
        newest = PromptVersion.objects.filter(prompt_id=self.instance.pk).order_by("-version").first()
        return self.instance.current_version or newest

    def _is_taken(self, cleaned: dict[str, Any]) -> bool:
        place = {name: cleaned.get(name) for name in ("account", "project", "slug")}
        return Prompt.objects.filter(**place).exists()

    def _checked(self, name: str, *, is_system_prompt: bool) -> str:
        # Browsers send CRLF: two versions that differ in nothing else would be two texts.
        source: str = self.cleaned_data[name].replace("\r\n", "\n")
        try:
            check_template(source, is_system_prompt=is_system_prompt)
        except TemplateRefused as error:
            raise ValidationError([str(problem) for problem in error.problems]) from error
        return source


class PriceForm(forms.ModelForm):
    """A new price starts now unless another time is given."""

    class Meta:
        model = ModelPrice
        fields: ClassVar = ["token_class", "threshold_tokens", "usd_per_million", "starts_at"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.instance.pk:
            self.initial.setdefault("starts_at", timezone.now().replace(microsecond=0))


class LabelForm(forms.ModelForm):
    """On which version a label stands."""

    class Meta:
        model = PromptLabel
        fields = ("name", "prompt_version")

    def clean_prompt_version(self) -> PromptVersion:
        version: PromptVersion = self.cleaned_data["prompt_version"]
        if self.instance.pk and version.prompt_id != self.instance.prompt_id:
            raise forms.ValidationError("This version belongs to another prompt.")
        return version


class PreferenceForm(TenantForm):
    """Asks for one target, which the database would refuse without a word."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if not self.errors and bool(cleaned.get("provider")) == bool(cleaned.get("language_model")):
            self.add_error(None, PreferenceTarget.__doc__ or "")
        return cleaned


class StyleGuideForm(TenantForm):
    """Remembers which text it was opened with, so that nobody writes over another's."""

    compressed_text = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 10, "cols": 40, "class": "vLargeTextField"}),
        help_text="What agents are told. Empty: the text, compressed by rule.",
    )
    opened_at = forms.DateTimeField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = StyleGuide
        fields = ("account", "project", "name", "language", "raw_text", "compressed_text")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["opened_at"] = self.instance.updated_at.isoformat()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if self.instance.pk and cleaned.get("opened_at") != self.instance.updated_at:
            self.add_error(None, "Somebody saved this style guide since you began. Keep your text, and load it again.")
        # Django leaves out a constraint with a field that the form does not have: the account of a guide that is there.
        place = {"account": cleaned.get("account") or self.instance.account_id, "project": cleaned.get("project")}
        named = StyleGuide.objects.filter(**place, name=cleaned.get("name"), language=cleaned.get("language", ""))
        if named.exclude(pk=self.instance.pk).exists():
            self.add_error("name", StyleGuideExists.__doc__ or "")
        return cleaned
