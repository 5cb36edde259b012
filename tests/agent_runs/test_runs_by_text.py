"""Runs by a text of their issue, branch or error: what is found, for whom, and how much is read for it.

The evidence is PostgreSQL's own count, in this transaction, of the entries that were read from an index and of the
scans of the whole table, as the tenant.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, connections

from agent_runs import mentions, querysets
from agent_runs.models import AgentRun
from agent_runs.querysets import Position, RunFilter, run_page
from paid.lib.tenancy import platform, tenant
from tests.factories.agent_runs import AgentRunFactory

MANY = 5_000
# Ended runs of issues of their own beside one that is there, the newest last.
SEED = """
WITH one AS (SELECT * FROM agent_runs WHERE id = %(run)s), made AS (
  INSERT INTO issues (account_id, project_id, number, title)
  SELECT one.account_id, one.project_id, 10000 + n, 'Mend part ' || n FROM one, generate_series(1, %(many)s) n
  RETURNING id, account_id, number)
INSERT INTO agent_runs (account_id, project_id, issue_id, version_account_id, prompt_version_id, model_account_id,
  language_model_id, trigger, agent, status, branch, error, created_at, finished_at)
SELECT one.account_id, project_id, made.id, version_account_id, prompt_version_id, model_account_id, language_model_id,
  trigger, agent, 'failed', 'paid/' || number || '-mend', CASE number %% 2 WHEN 0 THEN 'The sandbox ended.' ELSE '' END,
  one.created_at - make_interval(mins => %(many)s + 10001 - number::int), now()
FROM one JOIN made USING (account_id)
"""
READ = """
SELECT pg_stat_get_xact_tuples_returned('agent_runs_mentions'::regclass),
       pg_stat_get_xact_tuples_returned('issues_title'::regclass),
       pg_stat_get_xact_tuples_returned('agent_runs_recent'::regclass),
       pg_stat_get_xact_numscans('agent_runs'::regclass) + pg_stat_get_xact_numscans('issues'::regclass)
"""


@pytest.fixture
def run() -> AgentRun:
    run: AgentRun = AgentRunFactory()
    return run


def seed(run: AgentRun, many: int) -> None:
    with platform(), connection.cursor() as cursor:
        cursor.execute(SEED, {"run": run.pk, "many": many})


@pytest.fixture
def many_runs_of_two_accounts(run: AgentRun) -> AgentRun:
    for one in (run, AgentRunFactory()):
        seed(one, MANY)
    with connections["owner"].cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) issues, agent_runs")
    return run


def read() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(READ)
        return list(cursor.fetchone())


def found(run: AgentRun, *, size: int = 50, after: Position | None = None, **narrowed: object) -> list[int]:
    page = run_page(run.account_id, RunFilter(**narrowed), after=after, size=size)  # type: ignore[arg-type]
    return [row.pk for row in page.runs]


def of_number(run: AgentRun, number: int) -> int:
    return AgentRun.objects.get(account_id=run.account_id, issue__number=number).pk


def mark(run: AgentRun, **fields: str) -> None:
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(**fields)


WITH_STATISTICS = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


@WITH_STATISTICS
def test_what_few_runs_say_is_found_by_index_as_the_tenant(many_runs_of_two_accounts: AgentRun):
    run = many_runs_of_two_accounts
    searches: dict[str, Callable[[], list[int]]] = {
        "branch": lambda: found(run, text="10007-MEND"),
        "title": lambda: found(run, text="part 1234"),
        "both of a project": lambda: found(run, text="10008", project_id=run.project_id),
        "nothing": lambda: found(run, text="unheard of"),
    }
    seen = {}
    with tenant(run.account_id), connection.cursor() as cursor:
        cursor.execute("SELECT current_user::text")
        assert cursor.fetchone() == ("paid_tenant",)
        for name, search in searches.items():
            before = read()
            ids = search()
            branches, titles, recent, scans = (now - then for now, then in zip(read(), before, strict=True))
            # The newest two thousand are looked at first; what is older comes by the indexes.
            seen[name] = (ids, branches < 20, titles < 20, recent <= 2_000, scans)
        few = (True, True, True, 0)
        assert seen == {
            "branch": ([of_number(run, 10007)], *few),
            "title": ([of_number(run, 11234)], *few),
            "both of a project": ([of_number(run, 10008)], *few),
            "nothing": ([], *few),
        }


@WITH_STATISTICS
def test_what_many_runs_say_is_found_among_the_newest(many_runs_of_two_accounts: AgentRun):
    run = many_runs_of_two_accounts
    with tenant(run.account_id):
        before = read()
        ids = found(run, text="sandbox ended")
        assert len(ids) == 50
        # Half of the runs say so: fifty are found at once, and the page is filled from the newest two thousand.
        branches, titles, recent, scans = (now - then for now, then in zip(read(), before, strict=True))
        assert (branches, titles, recent <= 2_200, scans) == (0, 0, True, 0)
        assert ids == [of_number(run, 10_000 + MANY - 2 * n) for n in range(50)]


@WITH_STATISTICS
def test_runs_of_an_agent_that_few_have_are_found_without_a_look_at_the_others(many_runs_of_two_accounts: AgentRun):
    run = many_runs_of_two_accounts
    mark(run, agent="codex")
    with tenant(run.account_id):
        before = read()
        assert (found(run, agent="codex"), found(run, agent="no_such")) == ([run.pk], [])
        *_, recent, scans = (now - then for now, then in zip(read(), before, strict=True))
        assert (recent, scans) == (0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["Of Mice", "of-mice", "max-lengths", "#4711", "4711", "100%_\\", "%_"])
def test_a_run_is_found_by_words_of_its_issue_branch_and_error_and_by_number(run: AgentRun, text: str):
    with platform():
        type(run.issue).objects.filter(pk=run.issue_id).update(title="Of mice", number=4711)
    mark(run, branch="paid/x-of-mice-1", error="Two max-lengths, 100%_\\ sure")
    AgentRunFactory(account=run.account, project=run.project)
    AgentRunFactory(branch="paid/x-of-mice-1", error="max-lengths 100%_\\", issue__title="Of mice")
    with tenant(run.account_id):
        assert found(run, text=text) == [run.pk]
        assert found(run, text=text, status="stopped") == []
    with tenant(AgentRunFactory().account_id):
        assert found(run, text=text) == []


@pytest.mark.django_db
def test_a_run_is_found_by_its_own_number(run: AgentRun):
    with tenant(run.account_id):
        assert run.pk in found(run, text=str(run.pk))
        assert run.pk in found(run, text=f"#{run.pk}")
        assert found(run, text="999999999999999999") == []


@pytest.mark.django_db
def test_a_short_number_is_looked_up_and_nothing_else(run: AgentRun, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(querysets, "MOST_LOOKED_AT", 1)
    seed(run, 3)
    with platform():
        type(run.issue).objects.filter(pk=run.issue_id).update(number=7)
    with tenant(run.account_id):
        page = run_page(run.account_id, RunFilter(text="#7"), after=None, size=50)
        assert run.pk in [row.pk for row in page.runs]
        assert page.next_position is None


@pytest.mark.django_db
def test_a_text_without_three_letters_in_a_row_looks_back_in_steps(run: AgentRun, monkeypatch: pytest.MonkeyPatch):
    seed(run, 25)
    monkeypatch.setattr(mentions, "FIRST_LOOK", 5)
    monkeypatch.setattr(mentions, "MOST_LOOKED_AT", 10)
    monkeypatch.setattr(querysets, "MOST_LOOKED_AT", 10)
    mark(run, error="at ::: last")
    oldest = AgentRunFactory(project=run.project, error="a :::", created_at=run.created_at - timedelta(days=1))
    seen, after = [], None
    with tenant(run.account_id):
        for _ in range(3):
            page = run_page(run.account_id, RunFilter(text=":::"), after=after, size=50)
            seen.append([row.pk for row in page.runs])
            after = page.next_position
    # Of the 27 runs ten, ten more, and the last seven.
    assert (seen, after) == ([[run.pk], [], [oldest.pk]], None)
