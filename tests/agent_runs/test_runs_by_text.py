"""Runs by a text of their issue, branch or error: what is found, for whom, and how much is read for it.

The evidence is PostgreSQL's own count, in this transaction, of the entries that were read from an index and of the
scans of the whole table, as the tenant.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import ProgrammingError, connection, connections

from agent_runs import mentions, querysets
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
TEXTS_FETCHED = "SELECT pg_stat_get_xact_tuples_fetched('agent_run_texts'::regclass)"
UNTIL_ONE_WAITS = """
DO $$ BEGIN
  FOR turn IN 1..600 LOOP
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN EXISTS (
      SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock');
    PERFORM pg_sleep(0.05);
  END LOOP;
END $$
"""
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
            seen[name] = (ids, parts < 60, recent < 20, scans)
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
        AgentRun.objects.filter(pk=run.pk).update(branch="paid/7-MEND", error="")
        # The last that is written: a change of the run would write the title anew.
        type(run.issue).objects.filter(pk=run.issue_id).update(title="Mend the Grün door", state="closed")
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


@WITH_THE_OWNER
@pytest.mark.parametrize("is_title_first", [True, False])
def test_a_title_and_an_error_that_are_written_at_once_are_both_found(run: AgentRun, is_title_first: bool):
    def rename() -> None:
        type(run.issue).objects.filter(pk=run.issue_id).update(title="The new title")

    def fail() -> None:
        AgentRun.objects.filter(pk=run.pk).update(error="It broke")

    def aside(change: Callable[[], None]) -> None:
        try:
            with platform():
                change()
        finally:
            connections.close_all()

    first, second = (rename, fail) if is_title_first else (fail, rename)
    with ThreadPoolExecutor(1) as thread:
        with platform():
            first()
            changing = thread.submit(aside, second)
            with connections["owner"].cursor() as cursor:
                cursor.execute(UNTIL_ONE_WAITS)
        changing.result(60)
    with tenant(run.account_id):
        assert (found(run, text="new title"), found(run, text="it broke")) == ([run.pk], [run.pk])


@WITH_STATISTICS
@pytest.mark.parametrize("days", [120, 4000])
def test_after_a_rest_no_more_is_read_than_before(many_runs_of_two_accounts: AgentRun, days: int):
    run = many_runs_of_two_accounts
    late = AgentRunFactory(
        project=run.project, issue__title="Mend it now", created_at=run.created_at + timedelta(days=days)
    )
    with tenant(run.account_id):
        before = read()
        ids = found(run, text="mend")
        parts, recent, scans = (now - then for now, then in zip(read(), before, strict=True))
        assert ids == [late.pk, *(of_number(run, 10_000 + MANY - n) for n in range(49))]
        assert (parts < 16 * 51, recent < 30, scans) == (True, True, 0)


@WITH_STATISTICS
def test_where_many_follow_on_few_a_look_stops_and_is_narrowed(many_runs_of_two_accounts: AgentRun):
    """The newest twenty days have a run a day, before that there are sixty an hour."""
    run = many_runs_of_two_accounts
    late = [
        AgentRunFactory(
            project=run.project, issue__title="Mend it now", created_at=run.created_at + timedelta(days=1 + day)
        )
        for day in range(20)
    ]
    with tenant(run.account_id), connection.cursor() as cursor:
        cursor.execute(TEXTS_FETCHED)
        before = cursor.fetchone()[0]
        ids = found(run, text="mend")
        cursor.execute(TEXTS_FETCHED)
        older = (of_number(run, 10_000 + MANY - n) for n in range(30))
        assert ids == [*(one.pk for one in reversed(late)), *older]
        # Twenty times what is wanted of each span that is too wide, and what is in a narrow one.
        assert cursor.fetchone()[0] - before < MANY


@WITH_STATISTICS
def test_more_runs_of_one_moment_than_are_looked_at_fill_pages_like_others(
    many_runs_of_two_accounts: AgentRun, monkeypatch: pytest.MonkeyPatch
):
    run = many_runs_of_two_accounts
    monkeypatch.setattr(mentions, "MOST_LOOKED_AT", 100)
    monkeypatch.setattr(mentions, "MOST_MENTIONS", 200)
    monkeypatch.setattr(querysets, "MOST_MENTIONS", 200)
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE agent_runs DISABLE TRIGGER agent_runs_frozen")
        cursor.execute("UPDATE agent_runs SET created_at = (SELECT min(created_at) FROM agent_runs)")
        cursor.execute("ALTER TABLE agent_runs ENABLE TRIGGER agent_runs_frozen")
        cursor.execute("DELETE FROM agent_run_texts")
        cursor.execute(OF_PAST_RUNS)
    for text, agent in (("mend", ""), ("mend", "codex"), (" 4", "")):
        seen: list[int] = []
        after = None
        with tenant(run.account_id):
            for _ in range(300):
                page = run_page(run.account_id, RunFilter(text=text, agent=agent), after=after, size=50)
                seen += [row.pk for row in page.runs]
                after = page.next_position
                if after is None:
                    break
            every = AgentRun.objects.filter(account_id=run.account_id, agent__endswith=agent)
            wanted = every.filter(issue__title__icontains=text).order_by("-id").values_list("pk", flat=True)
            assert (text, after, seen) == (text, None, list(wanted))


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
def test_a_whole_branch_is_its_run_alone(run: AgentRun):
    branch = f"paid/7-of-mice-{run.pk}"
    mark(run, branch=branch)
    other = AgentRunFactory(project=run.project, branch="paid/7-of-mice-1", error=f"{branch} is taken")
    with tenant(run.account_id):
        assert found(run, text=branch) == [run.pk]
        assert found(run, text=branch, status="no_such") == []
        # Where the number is another run's it is a text like others.
        assert found(run, text=f"paid/7-of-mice-{other.pk}") == []
        assert found(run, text="paid/7-of-mice") == [other.pk, run.pk]
    with tenant(stranger := AgentRunFactory().account_id):
        page = run_page(stranger, RunFilter(text=branch), after=None, size=50)
        assert page.runs == []


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
        # Behind the day that the filter begins with nothing is offered.
        later = run.created_at.date() + timedelta(days=1)
        page = run_page(run.account_id, RunFilter(text=":::", since=later), after=None, size=50)
        assert (page.runs, page.next_position) == ([], None)
