"""One bare repository per project, fetched before each run, read by all of them and written by none."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agent_runs.workspace.errors import BranchMissing, RepositoryEmpty, RepositoryTooLarge
from paid.lib.git import GitFailed, git, git_text

# A bare clone sets no refspec, so its branches would never move; a mirror with --prune would delete the branches
# of running agents. This one moves only what stands for the forge.
_REFSPEC = "+refs/heads/*:refs/remotes/origin/*"

# How a fetch ends that met the limit on files: by the signal, or by the error of the write.
_TOO_LARGE = re.compile(r"signal 25|SIGXFSZ|File too large")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def update_cache(
    cache_dir: Path, url: str, environment: Mapping[str, str] | None = None, *, limit_bytes: int | None = None
) -> None:
    """Make the cache if there is none, and bring it up to date with `url`.

    `limit_bytes` bounds what one fetch may write. Raises RepositoryTooLarge.
    """
    cache_dir.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(cache_dir.with_name(f".{cache_dir.name}.lock")):
        if not cache_dir.exists():
            unfinished = cache_dir.with_name(f".{cache_dir.name}.new")
            shutil.rmtree(unfinished, ignore_errors=True)
            git(unfinished, ["init", "--quiet", "--bare", "--template=", str(unfinished)])
            unfinished.rename(cache_dir)
        # No collection of garbage, ever: running agents borrow these objects.
        fetch = ["fetch", "--quiet", "--force", "--prune", "--no-tags", "--no-write-fetch-head", url, _REFSPEC]
        try:
            git(cache_dir, fetch, environment=environment, file_limit_bytes=limit_bytes)
        except GitFailed as error:
            _remove_unfinished(cache_dir)
            if limit_bytes is None or not _TOO_LARGE.search(str(error)):
                raise
            raise RepositoryTooLarge(
                f"What the forge sends of the repository is larger than {limit_bytes // 1024**2} MiB, which is what "
                "REPOSITORY_MAX_MEGABYTES allows on this host. Raise it, or take a smaller repository."
            ) from None


def _remove_unfinished(cache_dir: Path) -> None:
    """What a killed git could not take away itself: nothing else is of that name while the lock is held."""
    for left in (cache_dir / "objects").glob("*/tmp_*"):
        left.unlink(missing_ok=True)


def resolve_branch(cache_dir: Path, branch: str) -> str:
    try:
        return git_text(
            cache_dir, "rev-parse", "--verify", "--end-of-options", f"refs/remotes/origin/{branch}^{{commit}}"
        )
    except GitFailed:
        if not git_text(cache_dir, "for-each-ref", "--count=1", "refs/remotes/origin"):
            raise RepositoryEmpty from None
        raise BranchMissing(
            f"The repository has no branch {branch!r}. Change the default branch in the project's settings, then "
            "retry the run."
        ) from None
