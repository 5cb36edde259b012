"""A small GitHub on loopback: REST below `/api/v3`, git beside it, failures on command, signed webhooks.

Every REST answer is held against GitHub's published description; what differs is kept in `deviations`.
"""

import hashlib
import hmac
import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx

from paid.stack.embedded import free_port
from tests.standins.github import answers, git_backend
from tests.standins.github.published.read import deviations
from tests.standins.github.rest import Call, Refusal, Route, routes
from tests.standins.github.state import Repository, State, Token

API = "/api/v3"
GIT_PATH = re.compile(r"/(?P<owner>[^/]+)/(?P<repo>[^/]+)\.git(?P<rest>/.*)")


@dataclass
class Failure:
    """What to do instead of, or after (`is_after`), answering a request that matches."""

    method: str
    path: re.Pattern[str]
    status: int = 0  # 0: close the connection without a word
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    times: int = 1
    is_after: bool = False


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    query: str
    status: int
    authorization: str


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class StandInGithub:
    """Start it with `running(directory)`."""

    def __init__(self, directory: Path) -> None:
        self.state = State(directory)
        self.failures: list[Failure] = []
        self.seen: list[Seen] = []
        self.deviations: list[str] = []
        self.rate_remaining = 5000
        self.rate_reset_seconds = 1800
        # A port that was asked for by number stays ours while nobody listens on it.
        self._server = ThreadingHTTPServer(("127.0.0.1", free_port()), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def api_url(self) -> str:
        return self.url + API

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def go_away(self) -> None:
        """Refuse every connection, as a forge whose network is down."""
        self._server.shutdown()
        self._server.socket.shutdown(socket.SHUT_RDWR)

    def come_back(self) -> None:
        self._server.socket.listen()
        self.start()

    def add_token(self, text: str, login: str, **fields: Any) -> Token:
        self.state.tokens[text] = Token(login, **fields)
        return self.state.tokens[text]

    def fail(self, method: str, path: str, **fields: Any) -> None:
        """The next request (or `times` of them) whose path below the API's root, or git path, matches fails."""
        self.failures.append(Failure(method, re.compile(path), **fields))

    def requests(self, method: str, path: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and re.fullmatch(path, seen.path)]

    def deliver(
        self, url: str, event: str, payload: object, *, secret: str, delivery: str | None = None
    ) -> httpx.Response:
        """Send a webhook as GitHub does: signed over the raw bytes."""
        headers, body = signed(event, payload, secret=secret, delivery=delivery)
        return httpx.post(url, content=body, headers=headers, timeout=10, trust_env=False)

    # --- answering

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply | None:
        """None: close the connection."""
        url = urlsplit(target)
        below = url.path.removeprefix(API)
        failure = self._failure(method, below)
        reply: Reply | None
        if failure is not None and not failure.is_after:
            reply = Reply(failure.status, failure.headers, failure.body) if failure.status else None
        elif GIT_PATH.fullmatch(url.path):
            reply = self._git(method, url.path, url.query, headers, body)
        else:
            reply = self._rest(method, below, url.query, headers, body)
        if failure is not None and failure.is_after:
            reply = Reply(failure.status, failure.headers, failure.body) if failure.status else None
        status = reply.status if reply else 0
        self.seen.append(Seen(method, below, url.query, status, headers.get("authorization", "")))
        return reply

    def _failure(self, method: str, path: str) -> Failure | None:
        with self.state.lock:
            for failure in self.failures:
                if failure.times > 0 and failure.method == method and failure.path.fullmatch(path):
                    failure.times -= 1
                    return failure
        return None

    def _git(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Reply:
        parts = GIT_PATH.fullmatch(path)
        assert parts is not None
        token = git_backend.token_of(headers, self.state)
        repository = self._visible(token, parts["owner"], parts["repo"])
        if token is not None and repository is None:
            return Reply(404, {}, b"Repository not found.")
        found = repository or next(iter(self.state.repositories.values()))
        done = git_backend.serve(
            self.state, found, token, method=method, rest=parts["rest"], query=query, headers=headers, body=body
        )
        return Reply(done.status, done.headers, done.body)

    def _visible(self, token: Token | None, owner: str, name: str) -> Repository | None:
        repository = self.state.repositories.get(f"{owner}/{name}".lower())
        if token is None or repository is None:
            return None
        hidden = token.repositories is not None and repository.full_name not in token.repositories
        hidden = hidden or (repository.private and token.scopes is not None and "repo" not in token.scopes)
        return None if hidden else repository

    def _rest(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Reply:
        token = self.state.tokens.get(headers.get("authorization", "").removeprefix("Bearer "))
        request = json.loads(body) if body else None
        limits = self._limits()
        parameters = dict(parse_qsl(query))
        try:
            with self.state.lock:
                status, data = self._result(token, method, path, parameters, request)
            extra: dict[str, str] = {}
        except Refusal as refusal:
            status, data, extra = refusal.status, refusal.data, refusal.headers
        self.deviations += deviations(method, path, request, status, data)
        if isinstance(data, list):
            data, link = self._page(data, path, parameters)
            extra |= link
        raw = json.dumps(data).encode()
        extra["ETag"] = 'W/"' + hashlib.sha256(raw).hexdigest() + '"'
        if token is not None:
            extra |= _token_headers(token)
        if method == "GET" and status == 200 and headers.get("if-none-match") == extra["ETag"]:
            return Reply(304, extra | limits, b"")  # costs nothing of the limit
        self.rate_remaining = max(0, self.rate_remaining - 1)
        return Reply(status, {"Content-Type": "application/json; charset=utf-8"} | extra | limits, raw)

    def _result(
        self, token: Token | None, method: str, path: str, query: dict[str, str], request: Any
    ) -> tuple[int, Any]:
        if token is None:
            raise Refusal(401, "Bad credentials")
        if self.rate_remaining == 0:
            raise Refusal(403, f"API rate limit exceeded for {token.login}.")
        if (method, path) == ("GET", "/user"):
            return 200, answers.viewer(token.login)
        route, parts = _route(method, path)
        repository = self._visible(token, parts["owner"], parts["repo"])
        if repository is None:
            raise Refusal(404, "Not Found")
        if not token.allows(route.permission):
            raise _not_allowed(token, route.permission)
        return route.answer(Call(self.state, token, repository, parts, query, request or {}))

    def _limits(self) -> dict[str, str]:
        return {
            "x-ratelimit-limit": "5000",
            "x-ratelimit-remaining": str(self.rate_remaining),
            "x-ratelimit-reset": str(int(time.time()) + self.rate_reset_seconds),
        }

    def _page(self, items: list[Any], path: str, query: dict[str, str]) -> tuple[list[Any], dict[str, str]]:
        size, page = min(int(query.get("per_page", "30")), 100), int(query.get("page", "1"))
        rest = {name: value for name, value in query.items() if name != "page"}
        url = httpx.URL(self.api_url + path, params=rest | {"page": str(page + 1)})
        link = {"Link": f'<{url}>; rel="next", <{url}>; rel="last"'} if len(items) > size * page else {}
        return items[size * (page - 1) : size * page], link


def signed(event: str, payload: object, *, secret: str, delivery: str | None = None) -> tuple[dict[str, str], bytes]:
    """Headers and raw body of a delivery."""
    body = json.dumps(payload).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/stand-in",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    return headers, body


@contextmanager
def running(directory: Path) -> Iterator[StandInGithub]:
    github = StandInGithub(directory)
    github.start()
    try:
        yield github
    finally:
        github.stop()


def _route(method: str, path: str) -> tuple[Route, dict[str, str]]:
    for route in routes.all:
        match = route.pattern.fullmatch(path)
        if match and route.method == method:
            return route, {name: unquote(text) for name, text in match.groupdict().items()}
    raise Refusal(404, "Not Found")


def _not_allowed(token: Token, permission: str) -> Refusal:
    """A classic token without the scope sees nothing; a fine-grained one is told what would have been enough."""
    if token.scopes is not None:
        return Refusal(404, "Not Found")
    accepted = {"x-accepted-github-permissions": permission.replace(":", "=")}
    return Refusal(403, "Resource not accessible by personal access token", headers=accepted)


def _token_headers(token: Token) -> dict[str, str]:
    told = {} if token.scopes is None else {"x-oauth-scopes": ", ".join(token.scopes)}
    return told | ({"github-authentication-token-expiration": token.expires} if token.expires else {})


def _handler(github: StandInGithub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self._body(headers)
            reply = github.answer(self.command, self.path, headers, body)
            if reply is None:
                self.close_connection = True
                return
            self.send_response_only(reply.status)
            for name, value in ({"Date": self.date_time_string()} | reply.headers).items():
                self.send_header(name, value)
            if reply.status != 304:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def _body(self, headers: dict[str, str]) -> bytes:
            if headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(headers.get("content-length", "0")))
            blocks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                blocks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(blocks)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve

        def log_message(self, format: str, *args: object) -> None:
            """Quiet: what was asked is in `seen`."""

    return Handler
