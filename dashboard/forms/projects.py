from decimal import Decimal

from django import forms

from dashboard.forms.styled import StyledForm
from projects.settings_shape import MetaAgentSettings


class IssueForm(StyledForm):
    title = forms.CharField(max_length=1000)
    body = forms.CharField(
        label="Description",
        required=False,
        max_length=60_000,
        widget=forms.Textarea({"rows": 10}),
        help_text="What is wrong or wanted, and how to see that it is done. The agent reads exactly this.",
    )


class CommentForm(StyledForm):
    body = forms.CharField(
        label="Comment",
        max_length=60_000,
        widget=forms.Textarea({"rows": 3}),
        error_messages={"required": "Write something before you send it."},
    )


class MetaAgentForm(StyledForm):
    """Whether a model is asked which model a run shall have."""

    is_on = forms.BooleanField(
        label="Ask a model which model suits each issue",
        required=False,
        help_text="It reads the issue, and is told prices, how each model did in this project, and what the run may "
        "spend. It chooses only among the models that your preferences allow. Where it does not answer well, the "
        "rules decide as before.",
    )
    cap_usd = forms.DecimalField(
        label="Most that one question may cost (USD)",
        min_value=Decimal("0.01"),
        max_value=Decimal(10),
        max_digits=4,
        decimal_places=2,
        help_text="A question is a run of its own in the project “Paid: questions to models”: it counts in the "
        "account's budgets, and not in this project's.",
    )

    def settings(self) -> MetaAgentSettings:
        return MetaAgentSettings(**self.cleaned_data)
