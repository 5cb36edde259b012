"""A thin client of GitHub's REST interface: conditional requests, rate limits and refusals as typed errors.

The token is in one header of each request and nowhere else. Errors are raised `from None`, because httpx hangs
the request, with its headers, on its own exceptions.
"""

import json
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx
from django.conf import settings
from pydantic import TypeAdapter, ValidationError

from paid.lib.encryption import Secret
from projects.forges.base import ForgeUnavailable
from projects.forges.github.errors import AnswerNotUnderstood
from projects.forges.github.refusals import raise_for_refusal

Read = TypeVar("Read")

TIMEOUT = httpx.Timeout(20.0, connect=5.0)
# A server that drips one byte within each read time-out would hold an activity for ever.
WHOLE_ANSWER_SECONDS = 60.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_REDIRECTS = 3
MAX_PAGES = 50
API_VERSION = "2022-11-28"


@dataclass(frozen=True)
class Answer:
    """One answer; `data` is the decoded JSON, None for 204 and 304."""

    status: int
    data: Any
    headers: httpx.Headers

    @property
    def is_unchanged(self) -> bool:
        return self.status == httpx.codes.NOT_MODIFIED

    @property
    def etag(self) -> str:
        return str(self.headers.get("etag", ""))

    def read(self, shape: type[Read]) -> Read:
        """The data as `shape`. Raises AnswerNotUnderstood."""
        try:
            return TypeAdapter(shape).validate_python(self.data)
        except ValidationError as error:
            fields = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors()[:3])
            # Without the cause: pydantic's message quotes the input, which may be private.
            raise AnswerNotUnderstood(f"GitHub's answer is not as described ({fields or 'its shape'}).") from None


class TokenAuthentication(httpx.Auth):
    """Opens the token when a request leaves, so that no object in between holds it in plain text."""

    def __init__(self, token: Secret) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        yield request


class GithubClient:
    """Use it as a context manager: it holds a connection pool."""

    def __init__(self, token: Secret, *, base_url: str | None = None) -> None:
        self._base_url = (base_url or settings.GITHUB_API_URL).rstrip("/")
        self._http = httpx.Client(
            auth=TokenAuthentication(token),
            timeout=TIMEOUT,
            # A netrc file or a proxy's variable must not decide where the token goes.
            trust_env=False,
            headers={
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": API_VERSION,
                "User-Agent": "paid",
            },
        )

    def __enter__(self) -> "GithubClient":
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.close()

    def __repr__(self) -> str:
        return f"GithubClient({self._base_url})"

    def get(self, path: str, *, etag: str = "", **parameters: str | int) -> Answer:
        """GET `path`; with an `etag` the answer may be unchanged (304), which costs nothing of the rate limit."""
        headers = {"If-None-Match": etag} if etag else {}
        return self._request("GET", self._url(path), headers=headers, parameters=parameters)

    def send(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        return self._request(method, self._url(path), body=body)

    def pages(
        self, path: str, *, etag: str = "", max_pages: int = MAX_PAGES, **parameters: str | int
    ) -> Iterator[Answer]:
        """Each page of a list, following `Link: rel="next"` on the same server, `max_pages` at most.

        An unchanged first page (304) is the only one.
        """
        answer = self.get(path, etag=etag, per_page=100, **parameters)
        yield answer
        for _ in range(max_pages - 1):
            following = self._next_page(answer)
            if following is None:
                return
            answer = self._request("GET", following)
            yield answer

    def _url(self, path: str) -> str:
        return f"{self._base_url}/{path.lstrip('/')}"

    def _next_page(self, answer: Answer) -> str | None:
        headers = httpx.Headers({"link": answer.headers.get("link", "")})
        link = httpx.Response(200, headers=headers).links.get("next", {}).get("url")
        return link if link and self._is_ours(link) else None

    def _is_ours(self, url: str) -> bool:
        ours, theirs = urlsplit(self._base_url), urlsplit(url)
        return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)

    def _request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str | int] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._exchange(method, url, headers or {}, parameters, body)
            location = answer.headers.get("location", "")
            if method != "GET" or answer.status // 100 != 3 or answer.is_unchanged or not location:
                break
            target = urljoin(url, location)
            if not self._is_ours(target):
                break
            url, parameters = target, None
        raise_for_refusal(answer.status, answer.headers, answer.data)
        return answer

    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        parameters: Mapping[str, str | int] | None,
        body: Mapping[str, object] | None,
    ) -> Answer:
        try:
            with self._http.stream(method, url, headers=dict(headers), params=parameters, json=body) as response:
                return Answer(response.status_code, _decoded(response), response.headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            server = urlsplit(self._base_url).netloc
            raise ForgeUnavailable(f"GitHub ({server}) did not answer: {type(error).__name__}.") from None


def _decoded(response: httpx.Response) -> Any:
    """The JSON of an answer whose size and duration are bounded; None where there is none to expect."""
    deadline = time.monotonic() + WHOLE_ANSWER_SECONDS
    body = bytearray()
    for block in response.iter_bytes():
        body += block
        if len(body) > MAX_ANSWER_BYTES:
            raise AnswerNotUnderstood("GitHub's answer is too large to be what was asked for.")
        if time.monotonic() > deadline:
            raise ForgeUnavailable("GitHub's answer took too long.")
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        # A refusal's page in HTML (a proxy, an outage) speaks by its status alone.
        if response.is_success:
            raise AnswerNotUnderstood from None
        return None
