"""Paid's own words between the agent's lines."""

from datetime import UTC, datetime

import pytest

from agent_runs.logs import PARTS_PER_LINE, LogLine, last_seq, write_lines
from agent_runs.models import AgentRun, AgentRunLog, LogKind
from agent_runs.notes import FIRST_NOTE_PART, is_note, note
from paid.lib.tenancy import tenant
from tests.factories.agent_runs import AgentRunFactory

AT = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)


@pytest.fixture
def run(db: None) -> AgentRun:
    made: AgentRun = AgentRunFactory()
    return made


def rows(run: AgentRun) -> list[tuple[int, str]]:
    with tenant(run.account_id):
        return list(AgentRunLog.objects.filter(agent_run_id=run.pk).order_by("seq").values_list("seq", "content"))


def agent_says(run: AgentRun, seq: int, text: str) -> None:
    write_lines(run, [LogLine(seq, LogKind.EVENT, text, {}, AT)])


def test_what_paid_says_stands_where_it_was_said_and_takes_no_number_of_the_agents(run: AgentRun):
    with tenant(run.account_id):
        note(run=run, text="GitHub is away.")
    agent_says(run, 1, "one")
    note(run=run, text="It waits.")
    note(run=run, text="It goes on.")
    assert last_seq(run) == 1
    agent_says(run, 2, "two")
    assert rows(run) == [
        (FIRST_NOTE_PART, "GitHub is away."),
        (PARTS_PER_LINE, "one"),
        (PARTS_PER_LINE + FIRST_NOTE_PART, "It waits."),
        (PARTS_PER_LINE + FIRST_NOTE_PART + 1, "It goes on."),
        (2 * PARTS_PER_LINE, "two"),
    ]
    assert [is_note(seq) for seq, _ in rows(run)] == [True, False, True, True, False]


def test_the_same_words_twice_in_a_row_are_said_once(run: AgentRun):
    for text in ("away", "away", "back", "away\0"):
        note(run=run, text=text)
    assert [content for _, content in rows(run)] == ["away", "back", "away\ufffd"]
