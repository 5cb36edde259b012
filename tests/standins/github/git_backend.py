"""Git over HTTP as GitHub serves it, by `git http-backend` as a CGI program over the bare repositories."""

import base64
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from tests.standins.github.state import Repository, State, Token


@dataclass(frozen=True)
class GitAnswer:
    status: int
    headers: dict[str, str]
    body: bytes


PROTECTED = """#!/bin/sh
while read old new reference; do
  case " $PROTECTED_BRANCHES " in *" ${reference#refs/heads/} "*)
    echo "GH006: Protected branch update failed for $reference." >&2; exit 1;; esac
done
"""


def token_of(headers: Mapping[str, str], state: State) -> Token | None:
    """The token behind Basic credentials `x-access-token:<token>`."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    _, _, text = base64.b64decode(encoded).decode().partition(":")
    return state.tokens.get(text)


def serve(
    state: State,
    repository: Repository,
    token: Token | None,
    *,
    method: str,
    rest: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
) -> GitAnswer:
    writes = rest.endswith("git-receive-pack") or "service=git-receive-pack" in query
    if token is None:
        return GitAnswer(401, {"WWW-Authenticate": 'Basic realm="GitHub"'}, b"Requires authentication")
    if not token.allows("contents:write" if writes else "contents:read"):
        return GitAnswer(403, {}, b"Permission denied")
    hook = repository.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(PROTECTED)
    hook.chmod(0o755)
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(state.directory),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repository.owner}/{repository.name}.git{rest}",
        "REQUEST_METHOD": method,
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": headers.get("content-encoding", ""),
        "GIT_PROTOCOL": headers.get("git-protocol", ""),
        "REMOTE_USER": token.login,
        "REMOTE_ADDR": "127.0.0.1",
        "PROTECTED_BRANCHES": " ".join(repository.protected_branches),
        # Repositories of a test belong to whoever runs it, which is not always who git runs as.
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    done = subprocess.run(["git", "http-backend"], env=environment, input=body, capture_output=True, check=False)
    head, _, answer = done.stdout.partition(b"\r\n\r\n")
    told = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    status = int(told.pop("Status", "200 OK").split()[0])
    return GitAnswer(status, told, answer)
