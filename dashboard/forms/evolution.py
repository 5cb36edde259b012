from decimal import Decimal

from django import forms

from dashboard.forms.styled import StyledForm
from metrics.evolution.operations import PolicyTerms
from metrics.models import EvolutionPolicy


class PolicyForm(StyledForm):
    """Whether and how a prompt may be improved by itself."""

    is_on = forms.BooleanField(
        label="Improve this prompt when its runs score poorly",
        required=False,
        help_text="A model is shown the worst runs and proposes better texts. The first look is taken at once.",
    )
    needs_approval = forms.BooleanField(
        label="Ask a person before a proposal is tried, and before a winner is used",
        required=False,
        help_text="Proposals come from a model that has read issues. Without this nobody reads them first.",
    )
    spending_cap_usd = forms.DecimalField(
        label="Spending cap of a cycle (USD)",
        min_value=Decimal("0.01"),
        max_digits=10,
        decimal_places=2,
        help_text="For asking the model, and for all runs that get a proposal. Then the experiment pauses.",
    )
    weak_below = forms.DecimalField(
        label="Weak when the mean quality is below", min_value=Decimal(0), max_value=Decimal(1), decimal_places=3
    )
    minimum_runs = forms.IntegerField(label="Scored runs that are needed first", min_value=1, max_value=200)
    proposals = forms.IntegerField(label="Proposals to ask for", min_value=1, max_value=5)
    every_hours = forms.IntegerField(label="Hours between two looks", min_value=1, max_value=24 * 90)

    @classmethod
    def of(cls, policy: EvolutionPolicy) -> "PolicyForm":
        return cls(initial={name: getattr(policy, name) for name in cls.base_fields})

    def terms(self) -> PolicyTerms:
        return PolicyTerms(**self.cleaned_data)
