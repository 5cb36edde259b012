"""Forms of the person and of the account's secrets. A secret is never put back into the page."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib.auth.forms import PasswordChangeForm

from accounts.models import Account, ApiScope, User
from dashboard.forms.styled import StyledForm, style_widget
from metrics.models import BudgetPeriod
from projects.labels import DEFAULT_TRIGGER
from projects.models import Project


class ProfileForm(StyledForm):
    name = forms.CharField(max_length=200, required=False, widget=forms.TextInput({"autocomplete": "name"}))
    email = forms.EmailField(label="E-mail", widget=forms.EmailInput({"autocomplete": "email"}))


class PasswordForm(PasswordChangeForm):
    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        for field in self.fields.values():
            style_widget(field.widget)
            field.widget.attrs.pop("autofocus", None)


class ConnectGithubForm(StyledForm):
    repository = forms.CharField(
        max_length=300, widget=forms.TextInput({"placeholder": "owner/name", "autocomplete": "off"})
    )
    token = forms.CharField(
        max_length=400,
        widget=forms.PasswordInput({"autocomplete": "off", "spellcheck": "false"}),
        help_text="Tried at once against this repository, then kept sealed. You will not see it again here.",
    )
    label = forms.CharField(
        max_length=50, initial=DEFAULT_TRIGGER, help_text="An issue that gets this label is given to an agent."
    )


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


class ApiTokenForm(StyledForm):
    name = forms.CharField(
        label="What for",
        max_length=200,
        widget=forms.TextInput({"placeholder": "Deployment of the checkout", "autocomplete": "off"}),
        help_text="So that you know it again when you look for one to revoke.",
    )
    scopes = forms.MultipleChoiceField(
        label="What it may do",
        choices=ApiScope.choices,
        initial=[ApiScope.PROMPTS_READ],
        widget=forms.CheckboxSelectMultiple,
    )
    expires_on = forms.DateField(
        label="Ends on",
        required=False,
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        help_text="From this day on, UTC, it is refused. Empty: it holds until somebody revokes it.",
    )

    def clean_expires_on(self) -> date | None:
        found: date | None = self.cleaned_data["expires_on"]
        if found is not None and found <= datetime.now(UTC).date():
            raise forms.ValidationError("Choose a day that is still to come.")
        return found


class BudgetForm(StyledForm):
    project = forms.ModelChoiceField(
        Project.objects.none(), required=False, label="For", empty_label="The whole account"
    )
    period = forms.ChoiceField(choices=BudgetPeriod.choices, initial=BudgetPeriod.DAY, label="Period")
    limit_usd = forms.DecimalField(
        label="Limit in USD",
        min_value=Decimal(0),
        max_value=Decimal(1_000_000),
        decimal_places=2,
        help_text="Days and months are UTC. A limit that is set already for the same is replaced.",
    )
    is_hard = forms.TypedChoiceField(
        label="When it is used up",
        choices=[("hard", "No run may pass it"), ("soft", "Only show it")],
        coerce=lambda value: value == "hard",
    )

    alert_percent = forms.IntegerField(
        label="Tell us at percent",
        min_value=1,
        max_value=100,
        initial=80,
        required=False,
        help_text="Once per period, and again when all of it is used up.",
    )

    def clean(self) -> dict[str, Any]:
        """`alert_threshold` as a share, in place of the percent."""
        found = dict(super().clean() or {})
        percent = found.pop("alert_percent", None) or 80
        return found | {"alert_threshold": Decimal(percent) / 100}

    def __init__(self, account: Account, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        projects: forms.ModelChoiceField[Project] = self.fields["project"]  # type: ignore[assignment]
        projects.queryset = Project.objects.filter(account=account).order_by("name")


class AlertWebhookForm(StyledForm):
    url = forms.URLField(
        label="Address",
        max_length=500,
        assume_scheme="https",
        widget=forms.URLInput({"placeholder": "https://hooks.example.com/paid", "autocomplete": "off"}),
    )
    secret = forms.CharField(
        min_length=16,
        max_length=200,
        widget=forms.PasswordInput({"autocomplete": "off", "spellcheck": "false"}),
        help_text="At least 16 characters. Each request is signed with it (HMAC-SHA256 in X-Paid-Signature). You will "
        "not see it again here.",
    )
