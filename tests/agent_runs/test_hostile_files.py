"""What an agent leaves to hide its change, to survive its run, or to break whoever reads it."""

import secrets
import sys
from pathlib import Path

import pytest

from agent_runs import workspace
from agent_runs.contracts import Finding
from tests.agent_runs.repositories import make_bare
from tests.agent_runs.test_workspace import BASE, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, make_bare(tmp_path, BASE))


def test_an_attribute_hides_no_change_from_the_reviewer(desk: Desk) -> None:
    made = desk.prepare()
    desk.agent(made, "printf '* -diff\\n' > .gitattributes; printf 'import evil\\n' > src/app.py")
    head = desk.commit(made).head_sha
    assert head is not None
    shown = workspace.diff(git_dir=made.git_dir, base_sha=made.base_sha, head_sha=head)
    assert "+import evil" in shown.text
    assert (shown.files, shown.insertions) == (2, 2)


def test_a_tree_of_any_depth_is_removed(desk: Desk) -> None:
    made = desk.prepare()
    desk.agent(made, "i=0; while [ $i -lt 1900 ]; do mkdir d; cd d; i=$((i+1)); done; touch leaf; chmod 0 .")
    workspace.remove(str(Path(made.path).parent))
    assert not Path(made.path).exists()


def test_names_that_are_no_text_can_be_told_and_stored(desk: Desk) -> None:
    made = desk.prepare()
    desk.agent(made, """printf x > "$(printf 'bad\\377')"; mkdir .claude; printf y > "$(printf '.claude/\\377')" """)
    commit = desk.commit(made)
    assert commit.changed_paths == ("bad\ufffd",)
    assert commit.restored_paths == (".claude/\ufffd",)


def test_what_is_too_much_to_be_searched_for_secrets_is_not_published(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The package's `scan` is the function: the module of that name is found here only.
    monkeypatch.setattr(sys.modules["agent_runs.workspace.scan"], "_SEARCHED_BYTES", 10_000)
    made = desk.prepare()
    (Path(made.path) / "a.txt").write_text("harmless\n" * 2000)
    (Path(made.path) / "b.txt").write_text(f"ghp_{secrets.token_hex(20)}\n")
    words = "More than 0 MiB of changes: not all were searched for secrets."
    assert desk.scan(made) == [Finding("unsearched", "", None, words)]
