"""The span of days that costs and quality are shown for."""

from datetime import date, timedelta

from django import forms

from dashboard.forms.styled import StyledForm

USUAL_DAYS = 30
MOST_DAYS = 366


class SpanForm(StyledForm):
    since = forms.DateField(required=False, label="From", widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(required=False, label="To", widget=forms.DateInput({"type": "date"}))

    def span(self, today: date) -> tuple[date, date]:
        """Both days included, at most a year; what cannot be read is the last 30 days."""
        self.is_valid()
        until = min(self.cleaned_data.get("until") or today, today)
        since = self.cleaned_data.get("since") or until - timedelta(days=min(USUAL_DAYS - 1, (until - date.min).days))
        earliest = until - timedelta(days=min(MOST_DAYS - 1, (until - date.min).days))
        return max(min(since, until), earliest), until
