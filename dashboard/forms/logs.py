"""What is searched for in logs. What cannot be read is shown at its field and narrows nothing."""

from django import forms
from django.http import QueryDict

from accounts.models import Account
from agent_runs.log_search import DEFAULT_DAYS, LogQuestion
from agent_runs.models import AgentRun, LogKind
from dashboard.forms.styled import StyledForm
from projects.models import Project


class LogSearchForm(StyledForm):
    text = forms.CharField(required=False, max_length=200, label="Words")
    project = forms.ModelChoiceField(Project.objects.none(), required=False, empty_label="Any project", label="Project")
    kind = forms.ChoiceField(required=False, choices=[("", "Any kind of line"), *LogKind.choices], label="Kind of line")
    since = forms.DateField(required=False, label="From", widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(required=False, label="To", widget=forms.DateInput({"type": "date"}))

    def __init__(self, account: Account, data: QueryDict, run: AgentRun | None) -> None:
        super().__init__(data)
        self.run = run
        projects: forms.ModelChoiceField[Project] = self.fields["project"]  # type: ignore[assignment]
        projects.queryset = Project.objects.filter(account=account).order_by("name")
        if run is not None:  # it has one project and one day
            for name in ("project", "since", "until"):
                del self.fields[name]
        self.fields["text"].widget.attrs.update(
            {
                "type": "search",
                "placeholder": 'error "connection refused" -retry',
                "data-search": "",
                "autocomplete": "off",
            }
        )

    def question(self) -> LogQuestion:
        self.is_valid()
        found = self.cleaned_data
        project = found.get("project")
        return LogQuestion(
            words=found.get("text", ""),
            since=found.get("since"),
            until=found.get("until"),
            project_id=project.pk if project else None,
            run=self.run,
            kind=found.get("kind", ""),
        )

    @property
    def default_days(self) -> int:
        return DEFAULT_DAYS
