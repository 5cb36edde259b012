"""Full text of the log, asked as a tenant asks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from agent_runs import log_search, tasks
from agent_runs.log_search import LogHits, LogPosition, LogQuestion, UnsearchableWords, index_backlog, search_log
from agent_runs.logs import PARTS_PER_LINE, LogLine, write_lines
from agent_runs.models import AgentRun, LogBacklog, LogChunk, LogKind
from paid.lib.tenancy import platform, tenant
from tests.factories.agent_runs import AgentRunFactory

AT = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
MANY_CHUNKS = """
INSERT INTO agent_run_log_chunks (account_id, project_id, run_created_at, agent_run_id, first_seq, last_seq, words)
SELECT 1 + n %% 50, 1, %s, 1000000 + n, 1, 64, to_tsvector('simple', 'filler' || n) FROM generate_series(1, 5000) AS n
"""
# How often this transaction used the index over (account, words) of any partition, also inside of functions.
INDEX_SCANS = """
SELECT sum(pg_stat_get_xact_numscans(oid))::int FROM pg_class
WHERE relname ~ '^agent_run_log_chunks_.*account_id_words_idx$'
"""


@pytest.fixture
def run(db: None) -> AgentRun:
    made: AgentRun = AgentRunFactory()
    return made


def write(run: AgentRun, *contents: str, kind: LogKind = LogKind.EVENT, first: int = 1) -> None:
    write_lines(
        run,
        [LogLine(number, kind, content, {"event": "message"}, AT) for number, content in enumerate(contents, first)],
    )


def index() -> int:
    return sum(index_backlog())


def find(asker: AgentRun, words: str, *, size: int = 50, before: LogPosition | None = None, **narrowed: Any) -> LogHits:
    with tenant(asker.account_id), connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("paid_tenant",)
        return search_log(LogQuestion(words, **narrowed), before=before, size=size)


def lines(hits: LogHits) -> list[str]:
    return [row.content for row in hits.rows]


def test_a_line_is_found_before_and_after_it_was_indexed(run: AgentRun) -> None:
    write(run, "The parser is broken", "Nothing here", "PARSER mended")
    expected = ["PARSER mended", "The parser is broken"]
    assert lines(find(run, "parser")) == expected
    assert index() == 1
    assert (LogBacklog.objects.count(), index()) == (0, 0)
    assert lines(find(run, "parser")) == expected
    write(run, "parser again", first=4)
    assert lines(find(run, "parser")) == ["parser again", *expected]


@pytest.mark.parametrize("is_indexed", [False, True])
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("slugify", [3, 1]),
        ("tests/test_slugify.py", [1]),
        ("slugify.py", [3, 1]),
        ("py slugify", [3, 1]),
        ('"py slugify"', []),
        ("slugify -edit", [1]),
        ("assertionerror or edit", [3, 1]),
        ("failed", [1]),
        ("FAILED", [1]),
        ("31mFAILED", []),
        ("api.example.com", [2]),
        ("example", [2]),
        ("0.04s", [2]),
        ("script", [4]),
        ("alert", [4]),
        ("übergröße", [5]),
        ("straße", [5]),
        ("nothing-here", []),
    ],
)
def test_words_are_found_as_people_type_them(run: AgentRun, words: str, found: list[int], is_indexed: bool) -> None:
    write(
        run,
        "\x1b[31mFAILED\x1b[0m tests/test_slugify.py::test_accents - AssertionError",
        "GET https://api.example.com/v1?x=1 200 in 0.04s",
        "Edit: src/slugify.py",
        "<script>alert(1)</script>",
        "Übergröße, Straße",
    )
    if is_indexed:
        index()
    assert [row.seq // PARTS_PER_LINE for row in find(run, words).rows] == found


def test_hits_come_newest_run_first_and_in_pages_without_gap_or_repetition(run: AgentRun) -> None:
    older = AgentRunFactory(project=run.project, created_at=run.created_at - timedelta(days=2))
    for wanted in (run, older):
        write(wanted, *(f"needle {number}" for number in range(1, 151)))
    index()
    write(run, "needle 151", first=151)
    seen: list[tuple[int, str]] = []
    position = None
    for _ in range(8):
        page = find(run, "needle", size=40, before=position)
        assert page.is_complete
        seen += [(row.agent_run_id, row.content) for row in page.rows]
        position = page.next_position
    assert position is None
    assert seen == [(run.pk, f"needle {n}") for n in range(151, 0, -1)] + [
        (older.pk, f"needle {n}") for n in range(150, 0, -1)
    ]


def test_a_full_last_page_offers_no_empty_one(run: AgentRun) -> None:
    write(run, "needle", "needle", "hay")
    assert find(run, "needle", size=2).next_position is None


def test_the_search_is_narrowed_by_project_run_kind_and_days(run: AgentRun) -> None:
    other_project = AgentRunFactory(project__account=run.account)
    sibling = AgentRunFactory(project=run.project, created_at=run.created_at - timedelta(days=3))
    old = AgentRunFactory(project=run.project, created_at=run.created_at - timedelta(days=20))
    for wanted in (run, other_project, sibling, old):
        write(wanted, "needle")
    write(run, "needle", kind=LogKind.STDERR, first=2)
    index()

    def runs(**narrowed: Any) -> list[int]:
        return [row.agent_run_id for row in find(run, "needle", **narrowed).rows]

    assert sorted(runs()) == sorted([run.pk, run.pk, other_project.pk, sibling.pk])
    assert runs(project_id=run.project_id) == [run.pk, run.pk, sibling.pk]
    assert runs(run=old) == [old.pk]
    assert runs(kind="stderr") == [run.pk]
    day = old.created_at.date()
    assert runs(since=day, until=day) == [old.pk]
    assert runs(until=day) == [old.pk]


def test_another_account_finds_nothing_and_nobody_finds_anything_without_one(run: AgentRun) -> None:
    stranger: AgentRun = AgentRunFactory()
    write(run, "needle")
    for _ in range(2):
        assert lines(find(stranger, "needle")) == []
        assert lines(find(stranger, "needle", run=run)) == []
        assert search_log(LogQuestion("needle"), size=5).rows == []
        with platform():
            assert search_log(LogQuestion("needle"), size=5).rows == []
        index()


@pytest.mark.parametrize("words", ["", "  ", "***", "-", '"', "\0", "a" * 3_000])
def test_words_that_ask_for_nothing_are_refused(run: AgentRun, words: str) -> None:
    with pytest.raises(UnsearchableWords, match="There is no word in this"):
        find(run, words)


@pytest.mark.parametrize("words", ["-error", "-error -warning", "needle or -error"])
def test_words_that_only_exclude_are_refused(run: AgentRun, words: str) -> None:
    with pytest.raises(UnsearchableWords, match="add a word that it must hold"):
        find(run, words)


def test_a_search_that_would_read_everything_stops_and_can_go_on(
    run: AgentRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_search, "MAX_ROWS_SEEN", 100)
    write(run, "red blue", *(("red", "blue")[number % 2] for number in range(300)))
    index()
    first = find(run, '"red blue"')
    assert (first.rows, first.is_complete) == ([], False)
    position, pages = first.next_position, 1
    while position is not None:
        page = find(run, '"red blue"', before=position)
        position, pages = page.next_position, pages + 1
    assert (lines(page), pages) == (["red blue"], 4)


def test_chunks_hold_64_rows_and_little_text(run: AgentRun) -> None:
    write(run, *(f"line {number}" for number in range(130)))
    write(run, *("x" * 8_000 for _ in range(20)), first=131)
    write(run, "end", first=151)
    assert index() == 3
    with platform():
        sizes = [
            (chunk.last_seq - chunk.first_seq) // PARTS_PER_LINE + 1
            for chunk in LogChunk.objects.filter(agent_run_id=run.pk).order_by("first_seq")
        ]
    assert sizes == [64, 64, 14, 9]


def test_rows_that_fill_a_gap_are_found_and_none_is_found_twice(run: AgentRun) -> None:
    write(run, "needle one")
    write(run, "needle three", first=3)
    index()
    write(run, "needle two", first=2)
    write(run, "needle one", "needle two", "needle three", "needle four")
    assert lines(find(run, "needle")) == ["needle four", "needle three", "needle two", "needle one"]
    index()
    assert lines(find(run, "needle")) == ["needle four", "needle three", "needle two", "needle one"]


def test_the_worst_text_is_indexed(run: AgentRun) -> None:
    unlike = "".join(f"{number:05x} " for number in range(100_000))
    write(run, unlike, "y" * 300_000, "\U0001f600" * 50_000, "中" * 50_000)
    assert index() == 1
    assert find(run, "0abcd").rows[0].metadata["part"] == 0xABCD * 6 // 8_000 + 1


def test_the_task_indexes_what_is_noted(run: AgentRun) -> None:
    write(run, "needle")
    assert tasks.index_logs() == 1
    assert tasks.index_logs() == 0


def test_the_tenants_search_uses_the_index_over_account_and_words(run: AgentRun) -> None:
    write(run, "needle")
    index()
    with platform(), connection.cursor() as cursor:
        cursor.execute(MANY_CHUNKS, [run.created_at])
    with tenant(run.account_id), connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("paid_tenant",)
        cursor.execute(INDEX_SCANS)
        before = cursor.fetchone()[0]
        assert lines(search_log(LogQuestion("needle", until=run.created_at.date()), size=5)) == ["needle"]
        cursor.execute(INDEX_SCANS)
        assert cursor.fetchone()[0] > before


class EveryWordIsFound(TestCase):
    """A chunk's words hold the words of each of its rows: what the index leaves out could not be found."""

    @given(contents=st.lists(st.text(max_size=60), min_size=1, max_size=6))
    def test_a_chunk_holds_the_words_of_its_rows(self, contents: list[str]) -> None:
        stored = [content.replace("\0", " ").encode(errors="replace").decode() for content in contents]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT tsvector_to_array(log_words(array_to_string(%s::text[], ' '))) @>"
                " ALL (SELECT tsvector_to_array(log_words(one)) FROM unnest(%s::text[]) AS one)"
                " FROM (SELECT 1) AS x WHERE true",
                [stored, stored],
            )
            assert cursor.fetchone() == (True,)
