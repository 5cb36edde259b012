"""The form of a style guide."""

from datetime import datetime
from typing import Any

from django import forms

from accounts.models import Account
from dashboard.forms.prompts import unix
from dashboard.forms.styled import StyledForm
from projects.models import Project
from prompts.compression import compress
from prompts.context import MAX_GUIDE_CHARACTERS
from prompts.models import StyleGuide
from prompts.style_guide_operations import GuideText, is_compressed_by_rule

MAX_RAW_CHARACTERS = 100_000


class StyleGuideForm(StyledForm):
    """`opened_at` remembers which text the person had before them, so that nobody writes over another's."""

    name = forms.CharField(max_length=200, widget=forms.TextInput({"autocomplete": "off"}))
    project = forms.ModelChoiceField(
        Project.objects.none(), required=False, label="For", empty_label="The whole account"
    )
    language = forms.CharField(
        required=False,
        max_length=50,
        widget=forms.TextInput({"autocomplete": "off", "list": "languages", "spellcheck": "false"}),
        help_text="As the project's settings name it. Empty: for every language.",
    )
    raw_text = forms.CharField(
        label="Text",
        max_length=MAX_RAW_CHARACTERS,
        strip=False,
        widget=forms.Textarea({"rows": 16, "class": "mono"}),
        help_text="As people write and read it. Markdown is fine.",
    )
    compressed_text = forms.CharField(
        label="Short form",
        required=False,
        max_length=MAX_RAW_CHARACTERS,
        strip=False,
        widget=forms.Textarea({"rows": 5, "class": "mono"}),
        help_text="What agents are told. Empty: the text without comments, blank lines and decoration, made on saving.",
    )
    opened_at = forms.DateTimeField(required=False, widget=forms.HiddenInput)

    def __init__(self, account: Account, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        projects: forms.ModelChoiceField[Project] = self.fields["project"]  # type: ignore[assignment]
        projects.queryset = Project.objects.filter(account=account).order_by("name")

    @staticmethod
    def initial_of(guide: StyleGuide) -> dict[str, object]:
        """A short form that was made by rule stays empty, so that it goes on following the text."""
        return {
            "name": guide.name,
            "project": guide.project_id,
            "language": guide.language,
            "raw_text": guide.raw_text,
            "compressed_text": "" if is_compressed_by_rule(guide) else guide.compressed_text,
        }

    def clean_language(self) -> str:
        return str(self.cleaned_data["language"]).strip()

    def clean_raw_text(self) -> str:
        text = unix(self.cleaned_data["raw_text"])
        if not compress(text).strip():
            raise forms.ValidationError("Nothing is left of it without comments and blank lines. Write a rule.")
        return text

    def clean_compressed_text(self) -> str:
        text = unix(self.cleaned_data["compressed_text"])
        return text if text.strip() else ""

    def clean(self) -> dict[str, Any]:
        cleaned = dict(super().clean() or {})
        sent = cleaned.get("compressed_text") or compress(cleaned.get("raw_text") or "")
        if len(sent) > MAX_GUIDE_CHARACTERS:
            self.add_error(
                "compressed_text",
                f"It would send {len(sent):,} characters; {MAX_GUIDE_CHARACTERS:,} are allowed. Write a short form.",
            )
        return cleaned

    def text(self) -> GuideText:
        found = self.cleaned_data
        return GuideText(
            name=found["name"],
            raw_text=found["raw_text"],
            compressed_text=found["compressed_text"],
            language=found["language"],
            project=found["project"],
        )

    def opened(self) -> datetime | None:
        found: datetime | None = self.cleaned_data["opened_at"]
        return found
