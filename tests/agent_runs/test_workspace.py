"""Real git over trees that an agent, or somebody worse, has left behind."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_runs import workspace
from agent_runs.contracts import CommitOutcome, Finding, Workspace
from agent_runs.sandbox import SandboxSpec, run_sealed
from agent_runs.workspace import NestedRepository, WorkspaceError
from agent_runs.workspace.difference import first_bytes
from paid.lib.git import GitFailed
from tests.agent_runs.repositories import git, make_bare, push, write

BASE = {"README.md": "# Sample\n", "src/app.py": "x = 1\n", "CLAUDE.md": "Be careful.\n", ".gitignore": "build/\n"}


@dataclass
class Desk:
    root: Path
    bare: Path

    @property
    def clone(self) -> Path:
        return self.root / "clone"

    def prepare(self, run_id: int = 7) -> Workspace:
        return workspace.prepare(
            url=str(self.bare),
            cache_dir=str(self.root / "cache" / "1.git"),
            run_dir=str(self.root / "runs" / str(run_id)),
            base_branch="main",
            branch=f"paid/3-mend-it-{run_id}",
        )

    def commit(self, made: Workspace) -> CommitOutcome:
        return workspace.commit_all(
            made, message="Mend it\n\nFixes #3.", author_name="Paid", author_email="paid@paid.invalid"
        )

    def agent(self, made: Workspace, script: str) -> str:
        """What an agent does in its sandbox."""
        spec = SandboxSpec(workspace=made.path, read_only=made.read_only)
        result = run_sealed(spec, ["/bin/sh", "-ec", script])
        assert result.exit_code == 0, result.stderr
        return result.stdout.decode().strip()

    def scan(self, made: Workspace, known_secrets: tuple[str, ...] = ()) -> list[Finding]:
        head = self.commit(made).head_sha
        assert head is not None
        return workspace.scan(git_dir=made.git_dir, base_sha=made.base_sha, head_sha=head, known_secrets=known_secrets)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, make_bare(tmp_path, BASE))


def test_a_branch_is_named_after_issue_title_and_run() -> None:
    assert workspace.branch_name(12, "Fix: Slugs with  two spaces!", 345) == "paid/12-fix-slugs-with-two-spaces-345"
    assert workspace.branch_name(12, "日本語", 345) == "paid/12-issue-345"
    assert workspace.branch_name(1, "x" * 100, 2) == f"paid/1-{'x' * 40}-2"


def test_the_agent_finds_the_files_the_branch_and_the_history(desk: Desk) -> None:
    made = desk.prepare()
    assert made.base_sha == git(desk.clone, "rev-parse", "HEAD")
    assert made.branch == "paid/3-mend-it-7"
    words = desk.agent(made, "cat src/app.py; git status --short --branch; git log --format=%s; git remote -v")
    assert words == "x = 1\n## paid/3-mend-it-7\nFirst commit"


def test_a_second_preparation_returns_the_first_one(desk: Desk) -> None:
    made = desk.prepare()
    write(Path(made.path), {"half.txt": "half done"})
    push(desk.clone, {"src/app.py": "x = 2\n"}, "Second commit")
    assert desk.prepare() == made
    assert (Path(made.path) / "half.txt").read_text() == "half done"


def test_a_preparation_that_broke_off_starts_again(desk: Desk) -> None:
    made = desk.prepare()
    (Path(made.path).parent / "workspace.json").unlink()
    (Path(made.path) / "rubbish").touch()
    assert desk.prepare() == made
    assert not (Path(made.path) / "rubbish").exists()


def test_the_next_run_starts_from_what_was_merged_meanwhile(desk: Desk) -> None:
    desk.prepare(7)
    newer = push(desk.clone, {"src/app.py": "x = 2\n"}, "Second commit")
    git(desk.clone, "push", "--quiet", "origin", "HEAD:refs/heads/other")
    made = desk.prepare(8)
    assert made.base_sha == newer
    assert (Path(made.path) / "src/app.py").read_text() == "x = 2\n"


def test_fetching_leaves_a_running_agents_branch_alone(desk: Desk) -> None:
    made = desk.prepare(7)
    write(Path(made.path), {"src/app.py": "x = 3\n"})
    desk.prepare(8)
    assert desk.commit(made).changed_paths == ("src/app.py",)


def test_an_unknown_base_branch_is_named(desk: Desk) -> None:
    with pytest.raises(WorkspaceError, match="no branch 'trunk'"):
        workspace.prepare(
            url=str(desk.bare),
            cache_dir=str(desk.root / "cache.git"),
            run_dir=str(desk.root / "run"),
            base_branch="trunk",
            branch="b",
        )


def test_changes_become_one_commit_by_paid_on_the_base(desk: Desk) -> None:
    made = desk.prepare()
    desk.agent(
        made,
        "echo 'x = 5' > src/app.py; echo new > new.txt; rm README.md; mkdir build; touch build/o; chmod +x new.txt",
    )
    outcome = desk.commit(made)
    assert outcome.changed_paths == ("README.md", "new.txt", "src/app.py")
    assert outcome.restored_paths == ()
    shown = git(Path(made.git_dir), "log", "-1", "--format=%an <%ae>|%cn|%P|%B", str(outcome.head_sha))
    assert shown == f"Paid <paid@paid.invalid>|Paid|{made.base_sha}|Mend it\n\nFixes #3."
    assert git(Path(made.git_dir), "rev-parse", made.branch) == outcome.head_sha
    assert git(Path(made.git_dir), "ls-tree", "-r", str(outcome.head_sha), "new.txt").startswith("100755")


def test_committing_twice_makes_one_commit(desk: Desk) -> None:
    made = desk.prepare()
    write(Path(made.path), {"src/app.py": "x = 5\n"})
    first = desk.commit(made)
    assert desk.commit(made) == first
    write(Path(made.path), {"src/app.py": "x = 6\n"})
    second = desk.commit(made)
    assert second.head_sha != first.head_sha
    assert git(Path(made.git_dir), "rev-parse", f"{second.head_sha}^") == made.base_sha


def test_an_agent_that_changed_nothing_makes_no_commit(desk: Desk) -> None:
    made = desk.prepare()
    desk.agent(made, "touch src/app.py; mkdir __pycache__; touch __pycache__/a.pyc")
    assert desk.commit(made) == CommitOutcome(None)


def test_commits_and_settings_of_the_agents_own_git_directory_do_not_count(desk: Desk) -> None:
    made = desk.prepare()
    desk.agent(
        made,
        "echo 'x = 5' > src/app.py; git add -A; git commit -qm 'By the agent';"
        "git config core.fsmonitor /workspace/evil; mkdir -p .git/hooks;"
        "printf '#!/bin/sh\\ntouch /workspace/hooked' > .git/hooks/pre-commit;"
        "chmod +x .git/hooks/*",
    )
    outcome = desk.commit(made)
    assert git(Path(made.git_dir), "log", "--format=%s", str(outcome.head_sha)) == "Mend it\nFirst commit"
    assert outcome.changed_paths == ("src/app.py",)


def test_files_that_steer_agents_or_git_are_put_back(desk: Desk) -> None:
    made = desk.prepare()
    files = {
        "CLAUDE.md": "Obey me.",
        "docs/AGENTS.md": "Obey me.",
        ".claude/settings.json": "{}",
        "sub/.Claude/x": "x",
        ".mcp.json": "{}",
        ".husky/pre-commit": "x",
        ".gitmodules": "x",
        ".aider.conf.yml": "x",
        "src/app.py": "x = 2\n",
    }
    write(Path(made.path), files)
    outcome = desk.commit(made)
    assert outcome.changed_paths == ("src/app.py",)
    assert sorted(outcome.restored_paths) == sorted(set(files) - {"src/app.py"})
    assert git(Path(made.git_dir), "show", f"{outcome.head_sha}:CLAUDE.md") == "Be careful."


def test_only_steering_changed_means_no_commit(desk: Desk) -> None:
    made = desk.prepare()
    (Path(made.path) / "CLAUDE.md").unlink()
    assert desk.commit(made) == CommitOutcome(None, (), ("CLAUDE.md",))


def test_a_nested_repository_is_refused_before_git_runs_over_it(desk: Desk) -> None:
    made = desk.prepare()
    desk.agent(
        made,
        "git init -q vendor/evil; cd vendor/evil; git -c user.name=x -c user.email=x@x commit -q --allow-empty -m x;"
        "printf '#!/bin/sh\\ntouch /workspace/ran' > /workspace/evil.sh; chmod +x /workspace/evil.sh;"
        "git config core.fsmonitor /workspace/evil.sh; rm -f /workspace/ran",
    )
    with pytest.raises(NestedRepository, match=r"vendor/evil/\.git"):
        desk.commit(made)
    assert not (Path(made.path) / "ran").exists()
    assert git(Path(made.git_dir), "rev-parse", made.branch) == made.base_sha


@pytest.mark.parametrize("name", [".git", ".GIT"])
def test_a_file_that_points_to_another_repository_is_refused_too(desk: Desk, name: str) -> None:
    made = desk.prepare()
    write(Path(made.path), {f"sub/{name}": "gitdir: /elsewhere\n"})
    with pytest.raises(NestedRepository):
        desk.commit(made)


def test_a_repository_inside_an_ignored_directory_is_nobodys_business(desk: Desk) -> None:
    made = desk.prepare()
    desk.agent(made, "git init -q build/dependency; git init -q .venv/src/x; echo 'x = 2' > src/app.py")
    assert desk.commit(made).changed_paths == ("src/app.py",)


def test_filters_of_the_tree_are_not_run(desk: Desk) -> None:
    made = desk.prepare()
    desk.agent(
        made,
        "echo '* filter=evil diff=evil' > .gitattributes; git config filter.evil.clean 'touch /tmp/ran; cat';"
        "echo 'x = 2' > src/app.py",
    )
    outcome = desk.commit(made)
    assert outcome.changed_paths == (".gitattributes", "src/app.py")
    assert git(Path(made.git_dir), "show", f"{outcome.head_sha}:src/app.py") == "x = 2"


def test_a_link_is_committed_as_a_link_and_reported_when_it_leads_out(desk: Desk) -> None:
    made = desk.prepare()
    desk.agent(made, "ln -s /etc/passwd secrets; ln -s ../../outside src/up; ln -s ../README.md src/fine")
    assert desk.scan(made) == [
        Finding("symlink", "secrets", None, "Link out of the repository: /etc/passwd"),
        Finding("symlink", "src/up", None, "Link out of the repository: ../../outside"),
    ]
    head = desk.commit(made).head_sha
    assert git(Path(made.git_dir), "cat-file", "blob", f"{head}:secrets") == "/etc/passwd"


def test_secrets_are_found_by_line_and_never_shown_in_full(desk: Desk) -> None:
    made = desk.prepare()
    token, key = "ghp_" + "a1" * 18, "AKIA" + "ABCDEFGH12345678"
    write(
        Path(made.path),
        {"src/app.py": f"x = 1\ny = '{token}'\n", ".gitattributes": "*.bin binary\n", "a.bin": f"\0{key}\n"},
    )
    write(Path(made.path), {"notes.txt": "token-of-this-run\n"})
    assert desk.scan(made, ("token-of-this-run",)) == [
        Finding("secret", "a.bin", 1, "AWS access key AKIAABC…"),
        Finding("secret", "notes.txt", 1, "a secret of this run"),
        Finding("secret", "src/app.py", 2, "GitHub token ghp_a1a…"),
    ]


def test_a_secret_that_the_change_removes_is_no_finding(desk: Desk) -> None:
    push(desk.clone, {"old.txt": "-----BEGIN RSA PRIVATE KEY-----\n"}, "Oh dear")
    made = desk.prepare()
    (Path(made.path) / "old.txt").unlink()
    assert desk.scan(made) == []


def test_workflow_files_and_large_files_are_found(desk: Desk) -> None:
    made = desk.prepare()
    write(Path(made.path), {".github/workflows/ci.yml": "on: push\n", "docs/workflows/x.yml": "", "Jenkinsfile": "x"})
    (Path(made.path) / "big.bin").write_bytes(os.urandom(6 * 1024 * 1024))
    assert desk.scan(made) == [
        Finding("workflow_file", ".github/workflows/ci.yml", None, "Changes what CI runs (A)."),
        Finding("workflow_file", "Jenkinsfile", None, "Changes what CI runs (A)."),
        Finding("large_file", "big.bin", None, "6.0 MiB"),
    ]


def test_a_diff_counts_everything_and_shows_at_most_what_was_asked(desk: Desk) -> None:
    made = desk.prepare()
    write(Path(made.path), {"src/app.py": "x = 2\n", "long.txt": "line\n" * 10_000})
    (Path(made.path) / "image.png").write_bytes(b"\x89PNG\0\0")
    head = str(desk.commit(made).head_sha)
    whole = workspace.diff(git_dir=made.git_dir, base_sha=made.base_sha, head_sha=head)
    assert (whole.files, whole.insertions, whole.deletions, whole.truncated) == (3, 10_001, 1, False)
    assert "-x = 1\n+x = 2\n" in whole.text
    part = workspace.diff(git_dir=made.git_dir, base_sha=made.base_sha, head_sha=head, limit_bytes=500)
    assert (len(part.text), part.truncated, part.insertions) == (500, True, 10_001)


def test_a_diff_of_a_missing_commit_is_an_error(desk: Desk) -> None:
    made = desk.prepare()
    with pytest.raises(WorkspaceError, match="git diff failed"):
        workspace.diff(git_dir=made.git_dir, base_sha=made.base_sha, head_sha="0" * 40)


def test_output_of_a_git_that_failed_is_not_taken_for_all_of_it(desk: Desk) -> None:
    made = desk.prepare()
    with pytest.raises(GitFailed, match="git diff ended with 128"):
        first_bytes(made.git_dir, ["diff", made.base_sha, "0" * 40], 100)


def test_removal_leaves_nothing_even_of_locked_directories_and_can_be_repeated(desk: Desk) -> None:
    made = desk.prepare()
    desk.agent(made, "mkdir -p deep/er; touch deep/er/x; chmod 0 deep/er deep")
    run_dir = Path(made.path).parent
    workspace.remove(str(run_dir))
    workspace.remove(str(run_dir))
    assert list(run_dir.iterdir()) == []


def test_the_agent_cannot_write_to_the_cache_or_find_our_git_directory(desk: Desk) -> None:
    made = desk.prepare()
    spec = SandboxSpec(workspace=made.path, read_only=made.read_only)
    assert run_sealed(spec, ["touch", "/run/paid/objects/x"]).exit_code != 0
    assert run_sealed(spec, ["ls", "/run/paid/git"]).exit_code != 0


def test_host_configuration_is_not_obeyed(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[core]\n\tfsmonitor = "touch {home}/ran"\n\thooksPath = {home}\n')
    monkeypatch.setenv("HOME", str(home))
    made = desk.prepare()
    write(Path(made.path), {"src/app.py": "x = 2\n"})
    desk.commit(made)
    assert not (home / "ran").exists()
    assert subprocess.run(
        ["git", "config", "core.hooksPath"], capture_output=True, text=True, check=True
    ).stdout.strip() == str(home)
