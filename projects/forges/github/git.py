"""Git over HTTP: the token lives in the environment of one git command, and what git says is turned into words.

The command inherits nothing: no configuration of the host or the user, no credential helper, no proxy, no hooks,
no prompt. `http.followRedirects` is off, because curl would carry our header along to wherever it is sent.
"""

import base64
import re
import subprocess
from collections.abc import Callable, Mapping

from paid.lib.encryption import Secret
from paid.lib.git import git_environment
from projects.forges.base import ForgeError, ForgeUnavailable, NotFoundOnForge, PushRejected
from projects.forges.github.errors import (
    BadToken,
    BranchTaken,
    MissingPermission,
    PushRefused,
    RepositoryMoved,
)

PUSH_TIMEOUT_SECONDS = 600
HARDENING = {
    "http.followRedirects": "false",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "credential.helper": "",
    "http.proxy": "",
    "http.sslVerify": "true",
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "submodule.recurse": "false",
}


class GitEnvironment(dict[str, str]):
    """Variables of one git command that hold a credential: tracebacks and debuggers show their names only."""

    def __repr__(self) -> str:
        return f"GitEnvironment({', '.join(self)})"


def authenticated(url: str, token: Secret) -> GitEnvironment:
    """The variables that let one git command reach `url` with the token. They go into no file and no argv."""
    # GitHub takes any user name beside a token; this one is what its documentation shows.
    credentials = base64.b64encode(f"x-access-token:{token.reveal()}".encode()).decode()
    return configured({f"http.{url}.extraheader": f"Authorization: Basic {credentials}"} | HARDENING)


def configured(settings: Mapping[str, str]) -> GitEnvironment:
    """Settings as GIT_CONFIG_COUNT, GIT_CONFIG_KEY_n and GIT_CONFIG_VALUE_n: they win over every file."""
    variables = GitEnvironment(GIT_CONFIG_COUNT=str(len(settings)))
    for position, (key, value) in enumerate(settings.items()):
        variables[f"GIT_CONFIG_KEY_{position}"] = key
        variables[f"GIT_CONFIG_VALUE_{position}"] = value
    return variables


def push(
    *, git_dir: str, url: str, environment: Mapping[str, str], branch: str, head_sha: str, expected_sha: str | None
) -> None:
    """Put `head_sha` on `branch` while the server has `expected_sha` there (None: no such branch).

    A branch that is at `head_sha` already is left alone: git looks at that before the lease.
    """
    reference = f"refs/heads/{branch}"
    command = [
        *("git", "--git-dir", git_dir, "push", "--porcelain", "--no-verify", "--no-follow-tags"),
        "--recurse-submodules=no",
        f"--force-with-lease={reference}:{expected_sha or ''}",
        *(url, f"{head_sha}:{reference}"),
    ]
    try:
        done = subprocess.run(
            command,
            env=git_environment(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PUSH_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # Without the cause: the exception holds the output, and its chain the environment's caller.
        raise ForgeUnavailable(f"The push to GitHub took longer than {PUSH_TIMEOUT_SECONDS} seconds.") from None
    if done.returncode != 0:
        raise push_error((done.stdout + done.stderr).decode(errors="replace"), had_branch=expected_sha is not None)


def push_error(output: str, *, had_branch: bool) -> ForgeError:
    """What git's output of a failed push means; `output` is that of the C locale."""
    for pattern, error in MEANINGS:
        if re.search(pattern, output):
            return error(output)
    if "(stale info)" in output or "(fetch first)" in output or "already exists" in output:
        return PushRejected() if had_branch else BranchTaken()
    return ForgeError(f"git could not push: {_last_words(output)}")


def fetch_error(output: str) -> ForgeError | None:
    """What git's output of a failed fetch says about the forge; None when it says nothing about it."""
    return next((error(output) for pattern, error in FETCH_MEANINGS if re.search(pattern, output)), None)


def _refused_by_server(output: str) -> ForgeError:
    said = " ".join(re.findall(r"^remote: *(\S.*)$", output, re.MULTILINE)) or _last_words(output)
    return PushRefused(f"GitHub refused the push: {said[:500]}")


_NOT_LET_IN = r"Authentication failed|could not read Username|error: 401"
_MISSING = r"returned error: 404|Repository not found|' not found"
_MOVED = r"unable to update url base from redirection|returned error: 30[1278]"
_AWAY = r"returned error: (429|5\d\d)|RPC failed|the remote end hung up|unable to access|early EOF|took longer than"

FETCH_MEANINGS: tuple[tuple[str, Callable[[str], ForgeError]], ...] = (
    (_NOT_LET_IN, lambda _: BadToken()),
    (r"returned error: 403", lambda _: MissingPermission("Contents: read")),
    (_MISSING, lambda _: NotFoundOnForge("GitHub has no such repository, or the token may not see it.")),
    (_MOVED, lambda _: RepositoryMoved()),
    (_AWAY, lambda output: ForgeUnavailable(f"GitHub did not send the repository: {_last_words(output)}")),
)

# Order matters: the server's own refusal before what git says about any failed push.
MEANINGS: tuple[tuple[str, Callable[[str], ForgeError]], ...] = (
    # Two pushes at once, or curl repeated one whose answer was lost: the next attempt sees what became of it.
    (r"cannot lock ref|failed to update ref", lambda _: ForgeUnavailable("Another push to the branch was under way.")),
    (r"\[remote rejected\]", _refused_by_server),
    (_NOT_LET_IN, lambda _: BadToken()),
    (r"returned error: 403", lambda _: MissingPermission("Contents: write")),
    (_MISSING, lambda _: NotFoundOnForge()),
    (_MOVED, lambda _: RepositoryMoved()),
    (
        _AWAY,
        lambda output: ForgeUnavailable(f"GitHub did not take the push: {_last_words(output)}"),
    ),
)


def _last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
