"""The filters of the list of runs. What cannot be read is shown at its field and narrows nothing."""

from collections.abc import Iterable

from django import forms
from django.http import QueryDict

from accounts.models import Account
from agent_runs.agents.registry import agent_names
from agent_runs.models import RunStatus
from agent_runs.querysets import RunFilter
from dashboard.forms.styled import FlatSelect, StyledForm
from projects.models import Project
from prompts.models import LanguageModel


class RunFilterForm(StyledForm):
    text = forms.CharField(required=False, max_length=200, label="Search")
    status = forms.ChoiceField(
        required=False,
        choices=[("", "Any status"), ("live", "Live"), *RunStatus.choices],
        label="Status",
        widget=FlatSelect,
    )
    project = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, widget=FlatSelect)
    model = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, widget=FlatSelect)
    agent = forms.ChoiceField(required=False, label="Agent", widget=FlatSelect)
    version = forms.IntegerField(required=False, min_value=1, max_value=2**62, widget=forms.HiddenInput)
    since = forms.DateField(required=False, label="From", widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(required=False, label="To", widget=forms.DateInput({"type": "date"}))

    def __init__(self, account: Account, data: QueryDict) -> None:
        super().__init__(data)
        projects = Project.objects.filter(account=account).order_by("name").values_list("pk", "owner", "repo")
        models = LanguageModel.objects.filter(account_id__in=(0, account.pk)).order_by("name")
        # Not the agents of the account's runs: that would read every run for each page of them.
        self._offer("agent", "Any agent", ((name, name) for name in agent_names()))
        self._offer("project", "Any project", ((pk, f"{owner}/{repo}") for pk, owner, repo in projects))
        named = models.values_list("pk", "provider", "model_id")
        self._offer("model", "Any model", ((pk, f"{provider}/{model_id}") for pk, provider, model_id in named))
        self.fields["text"].widget.attrs.update(
            {
                "type": "search",
                "placeholder": "Issue, branch, error or #number",
                "data-search": "",
                "autocomplete": "off",
            }
        )

    def _offer(self, name: str, anything: str, choices: Iterable[tuple[object, str]]) -> None:
        field: forms.ChoiceField = self.fields[name]  # type: ignore[assignment]
        field.choices = [("", anything), *choices]

    def run_filter(self) -> RunFilter:
        self.is_valid()
        found = self.cleaned_data
        return RunFilter(
            status=found.get("status", ""),
            project_id=found.get("project"),
            agent=found.get("agent", ""),
            language_model_id=found.get("model"),
            prompt_version_id=found.get("version"),
            since=found.get("since"),
            until=found.get("until"),
            text=found.get("text", ""),
        )

    @property
    def is_filtered(self) -> bool:
        return self.run_filter() != RunFilter()
