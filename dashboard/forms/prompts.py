from django import forms

from dashboard.forms.styled import StyledForm
from prompts.models.prompts import LABEL_PATTERN


class VersionForm(StyledForm):
    """A new version of a prompt."""

    system_prompt = forms.CharField(
        required=False,
        max_length=200_000,
        strip=False,
        widget=forms.Textarea({"rows": 6, "class": "mono", "data-editor": ""}),
    )
    template = forms.CharField(
        max_length=200_000,
        strip=False,
        widget=forms.Textarea({"rows": 20, "class": "mono", "spellcheck": "false", "data-editor": ""}),
        help_text="A Jinja2 template. What people wrote (issue, comments) is fenced when it is filled in.",
    )
    change_notes = forms.CharField(
        label="What changed and why", required=False, max_length=2_000, widget=forms.Textarea({"rows": 2})
    )
    is_promoted = forms.BooleanField(label="Use this version from now on", required=False, initial=True)

    def clean_template(self) -> str:
        return unix(self.cleaned_data["template"])

    def clean_system_prompt(self) -> str:
        return unix(self.cleaned_data["system_prompt"])


class LabelForm(StyledForm):
    name = forms.RegexField(
        LABEL_PATTERN,
        label="Label",
        max_length=50,
        widget=forms.TextInput({"placeholder": "production", "autocomplete": "off", "spellcheck": "false"}),
        help_text="Lower-case letters, digits, - and _, e.g. production or staging.",
        error_messages={"invalid": "Use lower-case letters, digits, - and _, with a letter or digit first."},
    )


def unix(text: str) -> str:
    """Browsers send CRLF; a version would otherwise differ from its parent in every line."""
    return text.replace("\r\n", "\n")
