"""Repositories that are empty, too large, or need what an agent does not get: said in words, and nothing left over."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_runs import workspace
from agent_runs.contracts import Workspace
from agent_runs.workspace import WorkspaceRefused
from agent_runs.workspace.errors import BranchMissing, RepositoryEmpty, RepositoryTooLarge
from tests.agent_runs.repositories import git, make_bare, push

MEBIBYTE = 1024 * 1024
Prepare = Callable[..., Workspace]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    def prepare(bare: Path, **options: Any) -> Workspace:
        given: dict[str, Any] = {"base_branch": "main"} | options
        return workspace.prepare(
            url=str(bare),
            cache_dir=str(tmp_path / "cache.git"),
            run_dir=str(tmp_path / "run"),
            branch="paid/1",
            **given,
        )

    return prepare


def commit(made: Workspace) -> str:
    outcome = workspace.commit_all(made, message="x", author_name="Paid", author_email="paid@paid.invalid")
    return outcome.head_sha or ""


def test_an_empty_repository_is_refused_with_what_to_do(tmp_path: Path, prepare: Prepare):
    bare = tmp_path / "forge.git"
    git(tmp_path, "init", "--quiet", "--bare", str(bare))
    with pytest.raises(RepositoryEmpty) as refused:
        prepare(bare)
    assert (refused.value.code, str(refused.value)) == (
        "repository_empty",
        "The repository has no commit yet, so there is nothing to branch from. Push a first commit, then retry the "
        "run.",
    )
    assert not (tmp_path / "run" / "workspace").exists()


def test_a_missing_default_branch_is_named(tmp_path: Path, prepare: Prepare):
    with pytest.raises(BranchMissing) as refused:
        prepare(make_bare(tmp_path, {"a": "x\n"}), base_branch="trunk")
    assert refused.value.code == "branch_missing"
    assert str(refused.value) == (
        "The repository has no branch 'trunk'. Change the default branch in the project's settings, then retry the run."
    )


def test_a_repository_that_sends_too_much_is_cut_off_and_leaves_nothing(tmp_path: Path, prepare: Prepare):
    bare = make_bare(tmp_path, {"a": "x\n"})
    (tmp_path / "clone" / "noise").write_bytes(os.urandom(3 * MEBIBYTE))
    push(tmp_path / "clone", {}, "Noise")
    with pytest.raises(RepositoryTooLarge, match="larger than 1 MiB, which is what REPOSITORY_MAX_MEGABYTES allows"):
        prepare(bare, limit_bytes=MEBIBYTE)
    files = [path for path in (tmp_path / "cache.git" / "objects").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MEBIBYTE
    assert not (tmp_path / "run" / "workspace").exists()
    # The same cache serves the run once the limit is raised.
    assert prepare(bare).remarks == ()


def test_files_that_unpack_to_more_than_fits_are_counted_before_they_are_written(tmp_path: Path, prepare: Prepare):
    bare = make_bare(tmp_path, {"zeros": "0" * 3 * MEBIBYTE})
    with pytest.raises(RepositoryTooLarge) as refused:
        prepare(bare, limit_bytes=MEBIBYTE)
    assert str(refused.value) == (
        "The branch holds 3 MiB of files; REPOSITORY_MAX_MEGABYTES allows 1 MiB on this host. Raise it, or take a "
        "smaller repository."
    )
    assert isinstance(refused.value, WorkspaceRefused)
    assert not (tmp_path / "run" / "workspace").exists()


def test_a_submodule_stays_what_it_was_and_is_remarked(tmp_path: Path, prepare: Prepare):
    bare = make_bare(tmp_path, {"a": "x\n"})
    clone, pinned = tmp_path / "clone", "1" * 40
    git(clone, "update-index", "--add", "--cacheinfo", f"160000,{pinned},vendor/library")
    (clone / ".gitmodules").write_text('[submodule "l"]\n\tpath = vendor/library\n\turl = https://example.org/l.git\n')
    git(clone, "add", ".gitmodules")
    git(clone, "commit", "--quiet", "-m", "Submodule")
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    made = prepare(bare)
    assert made.remarks == ("The repository has 1 submodule(s): their directories are empty for the agent.",)
    (Path(made.path) / "a").write_text("y\n")
    head = commit(made)
    listed = git(Path(made.git_dir), "ls-tree", "-r", head)
    assert f"160000 commit {pinned}\tvendor/library" in listed
    assert git(Path(made.git_dir), "diff", "--name-only", made.base_sha, head) == "a"


def test_pointers_of_git_lfs_stay_pointers_and_are_remarked(tmp_path: Path, prepare: Prepare):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 5\n"
    attributes = "*.bin filter=lfs diff=lfs merge=lfs -text\n"
    made = prepare(make_bare(tmp_path, {".gitattributes": attributes, "assets/x.bin": pointer, "a": "x\n"}))
    assert made.remarks == ("The repository uses Git LFS: the agent finds pointers in place of those files.",)
    assert (Path(made.path) / "assets" / "x.bin").read_text() == pointer
    (Path(made.path) / "a").write_text("y\n")
    head = commit(made)
    assert git(Path(made.git_dir), "diff", "--name-only", made.base_sha, head) == "a"


def test_the_remarks_are_known_to_a_second_attempt(tmp_path: Path, prepare: Prepare):
    bare = make_bare(tmp_path, {".gitattributes": "*.bin filter=lfs\n"})
    assert prepare(bare) == prepare(bare)
