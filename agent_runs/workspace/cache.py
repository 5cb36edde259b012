"""One bare repository per project, fetched before each run, read by all of them and written by none."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agent_runs.workspace.errors import WorkspaceError
from paid.lib.git import GitFailed, git, git_text

# A bare clone sets no refspec, so its branches would never move; a mirror with --prune would delete the branches
# of running agents. This one moves only what stands for the forge.
_REFSPEC = "+refs/heads/*:refs/remotes/origin/*"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def update_cache(cache_dir: Path, url: str, environment: Mapping[str, str] | None = None) -> None:
    """Make the cache if there is none, and bring it up to date with `url`."""
    cache_dir.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(cache_dir.with_name(f".{cache_dir.name}.lock")):
        if not cache_dir.exists():
            unfinished = cache_dir.with_name(f".{cache_dir.name}.new")
            shutil.rmtree(unfinished, ignore_errors=True)
            git(unfinished, ["init", "--quiet", "--bare", "--template=", str(unfinished)])
            unfinished.rename(cache_dir)
        # No collection of garbage, ever: running agents borrow these objects.
        fetch = ["fetch", "--quiet", "--force", "--prune", "--no-tags", "--no-write-fetch-head", url, _REFSPEC]
        git(cache_dir, fetch, environment=environment)


def resolve_branch(cache_dir: Path, branch: str) -> str:
    try:
        return git_text(
            cache_dir, "rev-parse", "--verify", "--end-of-options", f"refs/remotes/origin/{branch}^{{commit}}"
        )
    except GitFailed:
        raise WorkspaceError(f"The repository has no branch {branch!r}.") from None
