"""Runs by a text of their issue, branch or error: what is found, for whom, and how much is read for it.

The evidence is PostgreSQL's own count, in this transaction, of the entries that were read from an index and of the
scans of the whole table, as the tenant.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import ProgrammingError, connection, connections

from agent_runs import mentions
from agent_runs.models import AgentRun
from agent_runs.querysets import Position, RunFilter, run_page
from paid.lib.sql import statement
from paid.lib.tenancy import platform, tenant
from tests.factories.agent_runs import AgentRunFactory

MANY = 5_000
# Ended runs of issues of their own beside one that is there, the newest last.
SEED = """
WITH one AS (SELECT * FROM agent_runs WHERE id = %(run)s), made AS (
  INSERT INTO issues (account_id, project_id, number, title)
  SELECT one.account_id, one.project_id, 10000 + n,
         'Mend part ' || n || CASE n %% 40 WHEN 0 THEN ', Every 40' ELSE '' END
  FROM one, generate_series(1, %(many)s) n
  RETURNING id, account_id, number)
INSERT INTO agent_runs (account_id, project_id, issue_id, version_account_id, prompt_version_id, model_account_id,
  language_model_id, trigger, agent, status, branch, error, created_at, finished_at)
SELECT one.account_id, project_id, made.id, version_account_id, prompt_version_id, model_account_id, language_model_id,
  trigger, agent, 'failed', 'paid/' || number || '-mend', CASE number %% 2 WHEN 0 THEN 'The sandbox ended.' ELSE '' END,
  one.created_at - make_interval(mins => %(many)s + 10001 - number::int), now()
FROM one JOIN made USING (account_id)
"""
READ = """
SELECT pg_stat_get_xact_tuples_returned('agent_run_texts_parts'::regclass),
       pg_stat_get_xact_tuples_returned('agent_runs_recent'::regclass),
       pg_stat_get_xact_numscans('agent_runs'::regclass) + pg_stat_get_xact_numscans('issues'::regclass)
         + pg_stat_get_xact_numscans('agent_run_texts'::regclass)
"""
KEPT = "SELECT body, run_created_at = created_at FROM agent_run_texts JOIN agent_runs ON id = run_id WHERE id = %s"
OF_PAST_RUNS = statement("agent_runs", "texts_of_past_runs", "texts_of_past_runs")


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
        cursor.execute("VACUUM (ANALYZE) issues, agent_runs, agent_run_texts")
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


WITH_STATISTICS = WITH_THE_OWNER = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


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
            parts, recent, scans = (now - then for now, then in zip(read(), before, strict=True))
            seen[name] = (ids, parts < 20, recent < 20, scans)
        few = (True, True, 0)
        assert seen == {
            "branch": ([of_number(run, 10007)], *few),
            "title": ([of_number(run, 11234)], *few),
            "both of a project": ([of_number(run, 10008)], *few),
            "nothing": ([], *few),
        }


@WITH_STATISTICS
@pytest.mark.parametrize(("text", "one_in"), [("sandbox ended", 2), ("Every 40", 40)])
def test_what_many_runs_say_is_found_among_the_newest(many_runs_of_two_accounts: AgentRun, text: str, one_in: int):
    run = many_runs_of_two_accounts
    with tenant(run.account_id):
        before = read()
        ids = found(run, text=text)
        parts, recent, scans = (now - then for now, then in zip(read(), before, strict=True))
        assert ids == [of_number(run, 10_000 + MANY - one_in * n) for n in range(50)]
        # A look finds at most sixteen times what is missing.
        assert (parts < 16 * 51, recent < 20, scans) == (True, True, 0)


@WITH_STATISTICS
def test_a_search_that_takes_long_says_how_far_it_came(
    many_runs_of_two_accounts: AgentRun, monkeypatch: pytest.MonkeyPatch
):
    run = many_runs_of_two_accounts
    monkeypatch.setattr(mentions, "PATIENCE_MILLISECONDS", 0)
    seen: list[int] = []
    after, pages = None, 0
    with tenant(run.account_id):
        while after or not pages:
            page = run_page(run.account_id, RunFilter(text="every 40"), after=after, size=50)
            seen += [row.pk for row in page.runs]
            after, pages = page.next_position and Position.parse(str(page.next_position)), pages + 1
        assert seen == [of_number(run, 10_000 + number) for number in range(MANY, 0, -40)]
    # An hour a look, of three and a half days.
    assert pages > 80


@WITH_STATISTICS
def test_pages_of_a_text_and_a_filter_are_the_same_as_the_list_without_an_index(many_runs_of_two_accounts: AgentRun):
    run = many_runs_of_two_accounts
    with platform():
        AgentRun.objects.filter(account_id=run.account_id, issue__number__endswith="111").update(agent="codex")
    for text, agent in (("mend", ""), ("mend", "codex"), ("1111", ""), ("paid/1", "codex")):
        seen: list[int] = []
        after = None
        with tenant(run.account_id):
            for _ in range(200):
                page = run_page(run.account_id, RunFilter(text=text, agent=agent), after=after, size=50)
                seen += [row.pk for row in page.runs]
                after = page.next_position
                if after is None:
                    break
            every = AgentRun.objects.filter(account_id=run.account_id, agent__endswith=agent).select_related("issue")
            texts = {row.pk: f"{row.issue.title}\n{row.branch}\n{row.error}".lower() for row in every}
            numbers = {row.pk for row in every if text in (str(row.pk), str(row.issue.number))}
            wanted = {pk for pk, body in texts.items() if text in body} | numbers
            newest_first = every.filter(pk__in=wanted).order_by("-created_at", "-id").values_list("pk", flat=True)
            assert (text, seen) == (text, list(newest_first))


@WITH_THE_OWNER
def test_the_texts_follow_every_change_and_can_be_filled_for_the_runs_of_the_past(run: AgentRun):
    def kept() -> object:
        with connections["owner"].cursor() as cursor:
            cursor.execute(KEPT, [run.pk])
            return cursor.fetchone()

    with tenant(run.account_id):
        type(run.issue).objects.filter(pk=run.issue_id).update(title="Mend the Grün door", state="closed")
        AgentRun.objects.filter(pk=run.pk).update(branch="paid/7-MEND", error="")
    assert kept() == ("mend the grün door\npaid/7-mend", True)
    mark(run, error="It broke")
    seen = kept()
    assert seen == ("mend the grün door\npaid/7-mend\nit broke", True)

    with connections["owner"].cursor() as cursor:
        cursor.execute("DELETE FROM agent_run_texts")
        assert kept() is None
        cursor.execute(OF_PAST_RUNS)
        assert kept() == seen
        cursor.execute("DELETE FROM agent_runs WHERE id = %s", [run.pk])
        cursor.execute("SELECT count(*) FROM agent_run_texts WHERE run_id = %s", [run.pk])
        assert cursor.fetchone() == (0,)


@pytest.mark.django_db
def test_nobody_but_the_owner_reads_the_texts(run: AgentRun):
    with pytest.raises(ProgrammingError, match="permission denied"), tenant(run.account_id):
        AgentRun.objects.raw("SELECT run_id AS id FROM agent_run_texts")[0]


@WITH_STATISTICS
def test_runs_of_an_agent_that_few_have_are_found_without_a_look_at_the_others(many_runs_of_two_accounts: AgentRun):
    run = many_runs_of_two_accounts
    mark(run, agent="codex")
    with tenant(run.account_id):
        before = read()
        assert (found(run, agent="codex"), found(run, agent="no_such")) == ([run.pk], [])
        _, recent, scans = (now - then for now, then in zip(read(), before, strict=True))
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
    monkeypatch.setattr(mentions, "MOST_LOOKED_AT", 1)
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
    monkeypatch.setattr(mentions, "MOST_LOOKED_AT", 10)
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
