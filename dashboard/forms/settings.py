"""Forms of the person and of the account's secrets. A secret is never put back into the page."""

from django import forms
from django.contrib.auth.forms import PasswordChangeForm

from accounts.models import User
from dashboard.forms.styled import StyledForm, style_widget

# Prefixes by which GitHub marks its tokens; anything else is not one.
TOKEN_PREFIXES = ("github_pat_", "ghp_")


class ProfileForm(StyledForm):
    name = forms.CharField(max_length=200, required=False, widget=forms.TextInput({"autocomplete": "name"}))
    email = forms.EmailField(label="E-mail", widget=forms.EmailInput({"autocomplete": "email"}))


class PasswordForm(PasswordChangeForm):
    def __init__(self, user: User, *args: object, **kwargs: object) -> None:
        super().__init__(user, *args, **kwargs)  # type: ignore[arg-type]
        for field in self.fields.values():
            style_widget(field.widget)
            field.widget.attrs.pop("autofocus", None)


class GithubTokenForm(StyledForm):
    name = forms.CharField(max_length=200, help_text="So that you know it again, for example the team's name.")
    token = forms.CharField(
        max_length=400,
        widget=forms.PasswordInput({"autocomplete": "off", "spellcheck": "false"}),
        help_text="Kept sealed. You will not see it again here.",
    )
    expires_at = forms.DateField(
        label="Expires on", required=False, widget=forms.DateInput({"type": "date"}), help_text="As GitHub says."
    )

    def clean_token(self) -> str:
        token = str(self.cleaned_data["token"]).strip()
        if not token.startswith(TOKEN_PREFIXES):
            raise forms.ValidationError("This is not a GitHub token: one starts with github_pat_ or ghp_.")
        return token


class ProviderKeyForm(StyledForm):
    provider = forms.ChoiceField(choices=[("anthropic", "Anthropic"), ("openai", "OpenAI"), ("google", "Google")])
    name = forms.CharField(max_length=200, help_text="So that you know it again.")
    key = forms.CharField(
        max_length=400,
        widget=forms.PasswordInput({"autocomplete": "off", "spellcheck": "false"}),
        help_text="Kept sealed. Only the gateway opens it, and you will not see it again here.",
    )
    base_url = forms.URLField(
        label="Base URL", required=False, assume_scheme="https", help_text="Empty for the provider's own address."
    )
