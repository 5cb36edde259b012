"""The project's own commands judge what was committed, not what an agent left lying about."""

import time
from pathlib import Path

import pytest

from agent_runs import supervisor, workspace
from agent_runs.contracts import Workspace
from agent_runs.workspace import Check
from tests.agent_runs.repositories import make_bare


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    bare = make_bare(tmp_path, {"answer.py": "answer = 41\n", "test.sh": "grep -q 42 answer.py\n"})
    return workspace.prepare(
        url=str(bare),
        cache_dir=str(tmp_path / "cache" / "1.git"),
        run_dir=str(tmp_path / "runs" / "7"),
        base_branch="main",
        branch="paid/1-answer-7",
    )


def committed(place: Workspace, text: str) -> str:
    Path(place.path, "answer.py").write_text(text)
    commit = workspace.commit_all(place, message="Answer", author_name="Paid", author_email="paid@paid.invalid")
    return str(commit.head_sha)


def check(place: Workspace, head_sha: str, command: str, *, seconds: float = 120, stopped: bool = False) -> Check:
    return workspace.check_commit(
        place,
        head_sha=head_sha,
        name="tests",
        command=command,
        wall_seconds=seconds,
        is_stopped=lambda: stopped,
        wait=time.sleep,
    )


def test_a_commit_that_passes_passes(place: Workspace) -> None:
    found = check(place, committed(place, "answer = 42\n"), "sh test.sh && echo all good")
    assert (found.is_passing, found.words) == (True, "all good")


def test_a_commit_that_fails_fails_with_the_last_words(place: Workspace) -> None:
    found = check(place, committed(place, "answer = 43\n"), "sh test.sh || { echo not 42 >&2; exit 3; }")
    assert (found.is_passing, found.words) == (False, "not 42")


def test_files_that_were_not_committed_do_not_help(place: Workspace) -> None:
    head = committed(place, "answer = 43\n")
    Path(place.path, "answer.py").write_text("answer = 42\n")
    assert check(place, head, "sh test.sh").is_passing is False


def test_what_the_command_writes_is_not_in_the_change(place: Workspace) -> None:
    head = committed(place, "answer = 42\n")
    assert check(place, head, "echo litter > litter.txt; sh test.sh").is_passing is True
    again = workspace.commit_all(place, message="Answer", author_name="Paid", author_email="paid@paid.invalid")
    assert again.head_sha == head


def test_it_runs_once_however_often_it_is_asked(place: Workspace) -> None:
    head = committed(place, "answer = 42\n")
    command = "echo ran >> count; wc -l < count"
    assert check(place, head, command).words == "1"
    assert check(place, head, command).words == "1"


def test_a_command_that_does_not_end_says_nothing(place: Workspace) -> None:
    found = check(place, committed(place, "answer = 42\n"), "exec sleep 60", seconds=0.3)
    assert (found.is_passing, found.words) == (None, "Longer than 0.3 seconds.")


def test_a_stopped_run_ends_its_checks(place: Workspace) -> None:
    found = check(place, committed(place, "answer = 42\n"), "exec sleep 60", stopped=True)
    assert (found.is_passing, found.words) == (None, "The run was stopped.")


def test_it_has_no_network_and_no_way_to_the_models(place: Workspace) -> None:
    command = "ls /run/paid/gateway* 2>/dev/null; tail -n +3 /proc/net/dev | grep -v lo:; env | grep -ci token; true"
    assert check(place, committed(place, "answer = 42\n"), command).words == "0"


def test_a_check_is_found_among_what_lives_and_goes_away_with_the_run(place: Workspace) -> None:
    head = committed(place, "answer = 42\n")
    run_dir = Path(place.path).parent
    check_dir = run_dir / "checks" / "tests"
    seen: list[list[str]] = []

    def look(seconds: float) -> None:
        seen.append(supervisor.list_live(str(run_dir.parent)))
        (check_dir / "files" / "seen").touch()
        time.sleep(seconds)

    command = "until [ -e seen ]; do sleep 0.05; done"
    found = workspace.check_commit(
        place, head_sha=head, name="tests", command=command, wall_seconds=120, is_stopped=lambda: False, wait=look
    )
    assert (found.is_passing, seen[0]) == (True, [str(check_dir)])
    workspace.remove(str(run_dir))
    assert not (run_dir / "checks").exists()
