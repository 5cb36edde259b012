"""Git on the host, for repositories of our own: nothing that a repository or a user configured is obeyed."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class GitFailed(Exception):
    """Git did not do what it was asked."""


# As arguments, because they win over whatever a repository's own configuration says.
HARDENED = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "core.attributesFile=/dev/null",
    "-c", "core.untrackedCache=false",
    "-c", "core.quotePath=false",
    "-c", "gc.auto=0",
    "-c", "maintenance.auto=false",
    "-c", "submodule.recurse=false",
    "-c", "fetch.recurseSubmodules=false",
    "-c", "protocol.ext.allow=never",
    "-c", "diff.external=",
)  # fmt: skip

_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
}

# Set by a shell and not between fork and exec, where nothing of a threaded process may run. POSIX counts in blocks.
_LIMITED = 'ulimit -f "$1"; shift; exec "$@"'
_SHELL_BLOCK_BYTES = 512

# The host's own certificate authorities: a forge inside a company has one.
_OF_THE_HOST = ("PATH", "SSL_CERT_FILE", "GIT_SSL_CAINFO")


def git_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """All that a git command sees of the environment."""
    inherited = {name: os.environ[name] for name in _OF_THE_HOST if name in os.environ}
    return {"PATH": os.defpath} | inherited | _ENVIRONMENT | dict(extra or {})


def git(
    git_dir: str | Path,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout_seconds: float = 300,
    file_limit_bytes: int | None = None,
) -> bytes:
    """Run git on a repository that no agent could write to; returns its output. Raises GitFailed.

    Credentials go into `environment` as GIT_CONFIG_COUNT/KEY/VALUE, for this one command. No file that it writes
    grows beyond `file_limit_bytes`.
    """
    argv = ["git", *HARDENED, f"--git-dir={git_dir}", *arguments]
    if file_limit_bytes is not None:
        argv = ["/bin/sh", "-c", _LIMITED, "sh", str(-(-file_limit_bytes // _SHELL_BLOCK_BYTES)), *argv]
    try:
        result = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            check=False,
            env=git_environment(environment),
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired:
        raise GitFailed(f"git {arguments[0]} took longer than {timeout_seconds:g} seconds.") from None
    if result.returncode != 0:
        raise GitFailed(f"git {arguments[0]} failed: {result.stderr.decode(errors='replace').strip()[-2000:]}")
    return result.stdout


def git_text(git_dir: str | Path, *arguments: str) -> str:
    return git(git_dir, arguments).decode(errors="replace").strip()
