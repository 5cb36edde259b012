"""What does not fit the shape of a JSON column is refused, however it is written."""

import json

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from accounts.models import Account
from paid.lib.tenancy import platform
from projects.models import Issue, Project
from prompts.models import PromptVersion
from tests.factories.accounts import AccountFactory
from tests.factories.projects import IssueFactory, ProjectFactory
from tests.factories.prompts import PromptVersionFactory


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"is_demo": "yes"}, "settings.is_demo: Input should be a valid boolean"),
        ({"limits": {"turns": [5]}}, "settings.limits.turns.int: Input should be a valid integer"),
        ({"limits": {"truns": 5}}, "Input should be 'turns', 'wall_seconds', 'stall_seconds' or 'cost_usd'"),
        ([], "settings: Input should be an object"),
    ],
)
def test_a_project_refuses_settings_of_another_shape(settings, problem):
    project = ProjectFactory(settings={"language": "Python", "reviewers": ["alice"]})
    project.settings = settings
    with pytest.raises(ValidationError) as refused, platform():
        project.save(update_fields=["settings"])
    assert problem in str(refused.value)
    with platform():
        assert Project.objects.get(pk=project.pk).settings == {"language": "Python", "reviewers": ["alice"]}


@pytest.mark.django_db
def test_update_and_bulk_create_are_no_way_round():
    issue = IssueFactory(labels=["bug"])
    with pytest.raises(ValidationError, match="labels: Input should be a valid array"), platform():
        Issue.objects.filter(pk=issue.pk).update(labels={"name": "bug"})
    with pytest.raises(ValidationError, match=r"labels\.0: Input should be a valid string"), platform():
        Issue.objects.bulk_create([Issue(account_id=issue.account_id, number=9, title="Nine", labels=[{"name": "x"}])])
    with platform():
        assert list(Issue.objects.filter(account_id=issue.account_id).values_list("labels")) == [(["bug"],)]


@pytest.mark.django_db
def test_a_form_hears_of_it_before_the_database():
    account = AccountFactory()
    account.settings = {"Time Zone": "UTC"}
    with pytest.raises(ValidationError) as refused:
        account.clean_fields()
    assert list(refused.value.message_dict) == ["settings"]
    assert "String should match pattern" in refused.value.message_dict["settings"][0]


@pytest.mark.django_db
def test_variables_of_a_prompt_are_dotted_names():
    with pytest.raises(ValidationError, match=r"variables\.1: String should match pattern"):
        PromptVersionFactory(variables=["issue.title", "drop table"])
    with platform():
        assert PromptVersion.objects.count() == 0


@pytest.mark.django_db
def test_defaults_of_a_shape_are_not_written():
    account = AccountFactory(settings={"time_zone": "Europe/Zurich"})
    with platform():
        assert Account.objects.get(pk=account.pk).settings == {"time_zone": "Europe/Zurich"}


@pytest.mark.django_db
def test_what_is_read_is_what_json_says():
    written = {"n": [0.1, 1e22, 12345678901234567890123, -0.0, None, True], "t": 'ä "\\u0041" 😀', "deep": {"": [[[]]]}}
    deep = "[" * 300 + "]" * 300
    project = ProjectFactory(settings=written)
    with platform():
        # Deeper than its parser goes, and written past the field.
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE accounts SET settings = %s WHERE id = %s", ["[" * 300 + "]" * 300, project.account_id]
            )
        found = Project.objects.select_related("account").get(pk=project.pk)
    assert found.settings == json.loads(json.dumps(written))
    assert found.account.settings == json.loads(deep)
