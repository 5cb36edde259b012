"""The filters of the list of runs. What cannot be read is shown at its field and narrows nothing."""

from django import forms
from django.http import QueryDict

from accounts.models import Account
from agent_runs.agents.registry import agent_names
from agent_runs.models import RunStatus
from agent_runs.querysets import RunFilter
from dashboard.forms.styled import StyledForm
from projects.models import Project
from prompts.models import LanguageModel


class RunFilterForm(StyledForm):
    text = forms.CharField(required=False, max_length=200, label="Search")
    status = forms.ChoiceField(
        required=False, choices=[("", "Any status"), ("live", "Live"), *RunStatus.choices], label="Status"
    )
    project = forms.ModelChoiceField(Project.objects.none(), required=False, empty_label="Any project")
    model = forms.ModelChoiceField(LanguageModel.objects.none(), required=False, empty_label="Any model")
    agent = forms.ChoiceField(required=False, label="Agent")
    version = forms.IntegerField(required=False, min_value=1, max_value=2**62, widget=forms.HiddenInput)
    since = forms.DateField(required=False, label="From", widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(required=False, label="To", widget=forms.DateInput({"type": "date"}))

    def __init__(self, account: Account, data: QueryDict) -> None:
        super().__init__(data)
        projects: forms.ModelChoiceField[Project] = self.fields["project"]  # type: ignore[assignment]
        projects.queryset = Project.objects.filter(account=account).order_by("name")
        models: forms.ModelChoiceField[LanguageModel] = self.fields["model"]  # type: ignore[assignment]
        models.queryset = LanguageModel.objects.filter(account_id__in=(0, account.pk)).order_by("name")
        agents: forms.ChoiceField = self.fields["agent"]  # type: ignore[assignment]
        # Not the agents of the account's runs: that would read every run for each page of them.
        agents.choices = [("", "Any agent"), *((name, name) for name in agent_names())]
        self.fields["text"].widget.attrs.update(
            {
                "type": "search",
                "placeholder": "Issue, branch, error or #number",
                "data-search": "",
                "autocomplete": "off",
            }
        )

    def run_filter(self) -> RunFilter:
        self.is_valid()
        found = self.cleaned_data
        project, model = found.get("project"), found.get("model")
        return RunFilter(
            status=found.get("status", ""),
            project_id=project.pk if project else None,
            agent=found.get("agent", ""),
            language_model_id=model.pk if model else None,
            prompt_version_id=found.get("version"),
            since=found.get("since"),
            until=found.get("until"),
            text=found.get("text", ""),
        )

    @property
    def is_filtered(self) -> bool:
        return self.run_filter() != RunFilter()
