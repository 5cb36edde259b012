"""The filters above the list of runs."""

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from dashboard.forms.runs import RunFilterForm
from paid.lib.tenancy import tenant
from tests.metrics.records import make_run, make_tenant


@pytest.mark.django_db
def test_the_agents_on_offer_are_known_without_reading_the_runs():
    account = make_run(make_tenant()).account
    with tenant(account.pk), CaptureQueriesContext(connection) as asked:
        form = RunFilterForm(account, QueryDict("agent=claude_code"))
        assert form.run_filter().agent == "claude_code"
        assert str(form["agent"]).count("<option") == 2  # any agent, and Claude Code
    assert [query["sql"] for query in asked if '"agent_runs"' in query["sql"]] == []
