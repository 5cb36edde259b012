"""A clone for one run: files for the agent, a git directory for the agent to play with, another one that is ours."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.utils.text import slugify

from agent_runs.contracts import ReadOnlyBind, Workspace
from agent_runs.supervisor.control import CHECKS
from agent_runs.workspace.cache import resolve_branch, update_cache
from agent_runs.workspace.contents import look_into
from agent_runs.workspace.errors import as_workspace_error
from paid.lib.git import git

_RECORD = "workspace.json"
_FILES = "workspace"
_GIT_DIR = "git"
_REMOVAL_SECONDS = 300
# Where the agent's git directory finds the objects of the cache.
OBJECTS_INSIDE = "/run/paid/objects"
# What tools leave behind and no repository wants, whether or not its .gitignore says so.
_EXCLUDED = "__pycache__/\n*.py[co]\n.pytest_cache/\n.mypy_cache/\n.ruff_cache/\nnode_modules/\n.venv/\n.DS_Store\n"


def branch_name(issue_number: int, title: str, run_id: int) -> str:
    slug = slugify(title)[:40].strip("-") or "issue"
    return f"paid/{issue_number}-{slug}-{run_id}"


@as_workspace_error()
def prepare(
    *,
    url: str,
    cache_dir: str,
    run_dir: str,
    base_branch: str,
    branch: str,
    environment: Mapping[str, str] | None = None,
    limit_bytes: int = 2 * 1024**3,
) -> Workspace:
    """Fetch `base_branch` and lay out the run's files; a second call returns what the first one made.

    `environment` holds the forge's credentials for the fetch; `limit_bytes` bounds the fetch, and the files.
    Raises WorkspaceError, among them WorkspaceRefused for what no second attempt can heal.
    """
    root = Path(run_dir).absolute()
    if (root / _RECORD).exists():
        return _read(root)
    remove(run_dir)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    cache = Path(cache_dir).absolute()
    update_cache(cache, url, environment, limit_bytes=limit_bytes)
    base_sha = resolve_branch(cache, base_branch)
    remarks = look_into(cache, base_sha, limit_bytes)
    _make_own_git_dir(root, cache, branch, base_sha)
    _make_agents_git_dir(root, cache, branch, base_branch, base_sha)
    made = Workspace(
        path=str(root / _FILES),
        git_dir=str(root / _GIT_DIR),
        cache_dir=str(cache),
        branch=branch,
        base_sha=base_sha,
        read_only=(ReadOnlyBind(str(cache / "objects"), OBJECTS_INSIDE),),
        remarks=remarks,
    )
    unfinished = root / f".{_RECORD}"
    unfinished.write_text(json.dumps(asdict(made)))
    unfinished.rename(root / _RECORD)
    return made


def _read(root: Path) -> Workspace:
    values: dict[str, Any] = json.loads((root / _RECORD).read_text())
    values["read_only"] = tuple(ReadOnlyBind(**bind) for bind in values["read_only"])
    # Absent in the record of a workspace that an older version made.
    values["remarks"] = tuple(values.get("remarks", ()))
    return Workspace(**values)


def _borrow(git_dir: Path, objects: str) -> None:
    (git_dir / "objects" / "info").mkdir(parents=True, exist_ok=True)
    (git_dir / "objects" / "info" / "alternates").write_text(f"{objects}\n")
    (git_dir / "info").mkdir(exist_ok=True)
    (git_dir / "info" / "exclude").write_text(_EXCLUDED)


def _make_own_git_dir(root: Path, cache: Path, branch: str, base_sha: str) -> None:
    """The repository that is committed to and pushed from. The agent never sees it."""
    git_dir, files = root / _GIT_DIR, root / _FILES
    files.mkdir(mode=0o700)
    git(git_dir, ["init", "--quiet", "--bare", "--template=", str(git_dir)])
    git(git_dir, ["config", "core.bare", "false"])
    _borrow(git_dir, str(cache / "objects"))
    git(git_dir, ["update-ref", f"refs/heads/{branch}", base_sha])
    git(git_dir, ["symbolic-ref", "HEAD", f"refs/heads/{branch}"])
    git(git_dir, [f"--work-tree={files}", "read-tree", "--reset", "-u", base_sha])


def _make_agents_git_dir(root: Path, cache: Path, branch: str, base_branch: str, base_sha: str) -> None:
    """A throw-away repository at /workspace/.git, so that `git log` and `git diff` work for the agent."""
    git_dir = root / _FILES / ".git"
    borrowed = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(cache / "objects")}
    git(git_dir, ["init", "--quiet", "--template=", f"--initial-branch={branch}", str(root / _FILES)])
    for name in (f"refs/heads/{branch}", f"refs/remotes/origin/{base_branch}"):
        git(git_dir, ["update-ref", name, base_sha], environment=borrowed)
    git(git_dir, ["config", "user.name", "Agent"])
    git(git_dir, ["config", "user.email", "agent@paid.invalid"])
    _borrow(git_dir, OBJECTS_INSIDE)
    shutil.copy(root / _GIT_DIR / "index", git_dir / "index")


def remove(run_dir: str) -> None:
    """Delete the run's files and git directories; the spool stays. Does nothing the second time."""
    root = Path(run_dir)
    (root / _RECORD).unlink(missing_ok=True)
    left = [str(root / name) for name in (_FILES, _GIT_DIR, CHECKS) if (root / name).exists()]
    if left:
        # A directory without permissions cannot be emptied, not even by its owner. Links are not followed.
        _run("chmod", "-R", "u+rwX", "--", *left)
        _run("rm", "-rf", "--", *left)


def _run(*argv: str) -> None:
    """These programs walk a tree of any depth; Python's own functions end at a thousand directories."""
    done = subprocess.run(argv, capture_output=True, check=False, timeout=_REMOVAL_SECONDS)
    if done.returncode != 0:
        raise OSError(f"{argv[0]} failed: {done.stderr.decode(errors='replace').strip()[-500:]}")
