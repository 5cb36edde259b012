from django import forms

from dashboard.forms.styled import StyledForm


class VersionForm(StyledForm):
    """A new version of a prompt."""

    system_prompt = forms.CharField(
        required=False, max_length=200_000, strip=False, widget=forms.Textarea({"rows": 6, "class": "mono"})
    )
    template = forms.CharField(
        max_length=200_000,
        strip=False,
        widget=forms.Textarea({"rows": 20, "class": "mono", "spellcheck": "false"}),
        help_text="A Jinja2 template. What people wrote (issue, comments) is fenced when it is filled in.",
    )
    change_notes = forms.CharField(
        label="What changed and why", required=False, max_length=2_000, widget=forms.Textarea({"rows": 2})
    )
    is_promoted = forms.BooleanField(label="Use this version from now on", required=False, initial=True)

    def clean_template(self) -> str:
        return _unix(self.cleaned_data["template"])

    def clean_system_prompt(self) -> str:
        return _unix(self.cleaned_data["system_prompt"])


def _unix(text: str) -> str:
    """Browsers send CRLF; a version would otherwise differ from its parent in every line."""
    return text.replace("\r\n", "\n")
