"""The REST operations that Paid uses, as GitHub answers them."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.standins.github import answers
from tests.standins.github.state import Issue, PullRequest, Repository, State, Token


class Refusal(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, message: str, *, headers: dict[str, str] | None = None, errors: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.data: dict[str, Any] = {"message": message, "documentation_url": "https://docs.github.com/rest"}
        if errors is not None:
            self.data["errors"] = errors


@dataclass(frozen=True)
class Call:
    state: State
    token: Token
    repository: Repository
    parts: dict[str, str]
    query: dict[str, str]
    body: dict[str, Any]

    @property
    def issue(self) -> Issue:
        number = int(self.parts["number"])
        found = self.repository.issues.get(number)
        if found is None and number in self.repository.pull_requests:
            # Comments and labels of a pull request live on its issue, which shares its number.
            pull_request = self.repository.pull_requests[number]
            found = Issue(number, pull_request.title, pull_request.body, pull_request.author, pull_request.updated_at)
            self.repository.issues[number] = found
        if found is None:
            raise Refusal(404, "Not Found")
        return found

    @property
    def pull_request(self) -> PullRequest:
        found = self.repository.pull_requests.get(int(self.parts["number"]))
        if found is None:
            raise Refusal(404, "Not Found")
        return found

    def need(self, *names: str) -> None:
        missing = [
            {"resource": "Issue", "code": "missing_field", "field": name} for name in names if name not in self.body
        ]
        if missing:
            raise Refusal(422, "Validation Failed", errors=missing)


@dataclass(frozen=True)
class Route:
    method: str
    pattern: re.Pattern[str]
    permission: str
    answer: Callable[[Call], tuple[int, Any]]


@dataclass
class Routes:
    all: list[Route] = field(default_factory=list)

    def add(self, method: str, path: str, permission: str) -> Callable[[Callable[[Call], tuple[int, Any]]], None]:
        # Parts never match an encoded slash: the server splits the path before it decodes it.
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", f"/repos/{{owner}}/{{repo}}{path}"))

        def register(answer: Callable[[Call], tuple[int, Any]]) -> None:
            self.all.append(Route(method, pattern, permission, answer))

        return register


routes = Routes()


@routes.add("GET", "", "metadata:read")
def _(call: Call) -> tuple[int, Any]:
    level = call.repository.collaborators.get(call.token.login, "read")
    return 200, answers.repository(call.repository, permission=level)


@routes.add("GET", "/commits", "contents:read")
def _(call: Call) -> tuple[int, Any]:
    sha = call.repository.sha(call.repository.default_branch)
    if sha is None:
        raise Refusal(409, "Git Repository is empty.")
    return 200, [answers.commit(sha)]


@routes.add("POST", "/git/refs", "contents:write")
def _(call: Call) -> tuple[int, Any]:
    call.need("ref", "sha")
    raise Refusal(422, "Reference update failed")


@routes.add("GET", "/issues", "issues:read")
def _(call: Call) -> tuple[int, Any]:
    wanted = {name for name in call.query.get("labels", "").split(",") if name}
    state, since = call.query.get("state", "open"), call.query.get("since", "")
    found = [
        issue
        for issue in call.repository.issues.values()
        if wanted <= set(issue.labels)
        and state in ("all", issue.state)
        and (answers.moment(issue.updated_at) or "") >= since
    ]
    found.sort(key=lambda issue: issue.updated_at, reverse=call.query.get("direction", "desc") == "desc")
    return 200, [
        {
            **answers.issue(issue),
            **({"pull_request": _PULL_OF_ISSUE} if issue.number in call.repository.pull_requests else {}),
        }
        for issue in found
    ]


_PULL_OF_ISSUE = {"url": "https://x.example", "html_url": None, "diff_url": None, "patch_url": None}


@routes.add("POST", "/issues", "issues:write")
def _(call: Call) -> tuple[int, Any]:
    call.need("title")
    return 201, answers.issue(call.state.add_issue(call.repository, title=call.body["title"], author=call.token.login))


@routes.add("GET", "/issues/{number}", "issues:read")
def _(call: Call) -> tuple[int, Any]:
    return 200, answers.issue(call.issue)


@routes.add("GET", "/issues/{number}/comments", "issues:read")
def _(call: Call) -> tuple[int, Any]:
    return 200, [answers.comment(comment) for comment in call.issue.comments]


@routes.add("POST", "/issues/{number}/comments", "issues:write")
def _(call: Call) -> tuple[int, Any]:
    call.need("body")
    return 201, answers.comment(call.state.add_comment(call.issue, call.token.login, call.body["body"]))


@routes.add("GET", "/issues/{number}/events", "issues:read")
def _(call: Call) -> tuple[int, Any]:
    return 200, [answers.labelled_event(event) for event in call.issue.events]


@routes.add("POST", "/issues/{number}/labels", "issues:write")
def _(call: Call) -> tuple[int, Any]:
    for name in call.body.get("labels", []):
        call.state.add_label(call.issue, name, actor=call.token.login)
    return 200, [answers.label(name) for name in call.issue.labels]


@routes.add("DELETE", "/issues/{number}/labels/{name}", "issues:write")
def _(call: Call) -> tuple[int, Any]:
    if call.parts["name"] not in call.issue.labels:
        raise Refusal(404, "Label does not exist")
    call.state.remove_label(call.issue, call.parts["name"])
    return 200, [answers.label(name) for name in call.issue.labels]


def _whole(call: Call, found: PullRequest) -> dict[str, Any]:
    head = call.repository.sha(found.head) or "0" * 40
    return answers.pull_request(
        found, call.repository, head_sha=head, base_sha=call.repository.sha(found.base) or "0" * 40
    )


@routes.add("GET", "/pulls", "pull_requests:read")
def _(call: Call) -> tuple[int, Any]:
    state, head = call.query.get("state", "open"), call.query.get("head")
    found = [
        pull_request
        for pull_request in call.repository.pull_requests.values()
        if state in ("all", pull_request.state)
        and head in (None, f"{pull_request.head_repository.split('/')[0]}:{pull_request.head}")
    ]
    found.sort(key=lambda one: one.updated_at if call.query.get("sort") == "updated" else one.number, reverse=True)
    return 200, [answers.listed_pull_request(_whole(call, one)) for one in found]


@routes.add("POST", "/pulls", "pull_requests:write")
def _(call: Call) -> tuple[int, Any]:
    call.need("title", "head", "base")
    head, base = call.body["head"], call.body["base"]
    repository = call.repository
    if repository.sha(base) is None:
        errors = [{"resource": "PullRequest", "field": "base", "code": "invalid"}]
        raise Refusal(422, "Validation Failed", errors=[{**errors[0], "message": "base is invalid"}])
    if repository.sha(head) is None:
        raise Refusal(
            422, "Validation Failed", errors=[{"resource": "PullRequest", "field": "head", "code": "invalid"}]
        )
    _refuse_second(repository, head, base)
    number = repository.next_number()
    made = PullRequest(
        number,
        call.body["title"],
        call.body.get("body", ""),
        head,
        base,
        call.token.login,
        repository.full_name,
        call.state.tick(),
    )
    repository.pull_requests[number] = made
    return 201, _whole(call, made)


def _refuse_second(repository: Repository, head: str, base: str) -> None:
    message = ""
    if any(
        (one.head_repository, one.head, one.state) == (repository.full_name, head, "open")
        for one in repository.pull_requests.values()
    ):
        message = f"A pull request already exists for {repository.owner}:{head}."
    elif repository.git("rev-list", "--count", f"{base}..{head}") == "0":
        message = f"No commits between {base} and {head}"
    if message:
        raise Refusal(
            422, "Validation Failed", errors=[{"resource": "PullRequest", "code": "custom", "message": message}]
        )


@routes.add("GET", "/pulls/{number}", "pull_requests:read")
def _(call: Call) -> tuple[int, Any]:
    return 200, _whole(call, call.pull_request)


@routes.add("PATCH", "/pulls/{number}", "pull_requests:write")
def _(call: Call) -> tuple[int, Any]:
    found = call.pull_request
    if call.body.get("state") == "closed" and found.state == "open":
        found.state, found.closed_at = "closed", call.state.tick()
    return 200, _whole(call, found)


@routes.add("PUT", "/pulls/{number}/merge", "contents:write")
def _(call: Call) -> tuple[int, Any]:
    found, repository = call.pull_request, call.repository
    head, base = repository.sha(found.head), repository.sha(found.base)
    if call.body.get("sha") not in (None, head):
        raise Refusal(409, "Head branch was modified. Review and try the merge again.")
    tree = repository.git("merge-tree", "--write-tree", str(base), str(head), check=False).splitlines()
    if len(tree) != 1:
        raise Refusal(405, "Pull Request is not mergeable")
    sha = repository.git("commit-tree", tree[0], "-p", str(base), "-p", str(head), "-m", f"Merge #{found.number}")
    repository.git("update-ref", f"refs/heads/{found.base}", sha)
    found.state, found.merged_at, found.merged_by = "closed", call.state.tick(), call.token.login
    found.closed_at, found.merge_sha = found.merged_at, sha
    return 200, {"sha": sha, "merged": True, "message": "Pull Request successfully merged"}


@routes.add("GET", "/pulls/{number}/reviews", "pull_requests:read")
def _(call: Call) -> tuple[int, Any]:
    return 200, [answers.review(review) for review in call.pull_request.reviews]


@routes.add("GET", "/commits/{ref}/check-runs", "checks:read")
def _(call: Call) -> tuple[int, Any]:
    return 200, answers.check_runs(call.repository.check_runs)


@routes.add("GET", "/commits/{ref}/status", "statuses:read")
def _(call: Call) -> tuple[int, Any]:
    return 200, answers.combined_status()


@routes.add("GET", "/collaborators/{login}/permission", "metadata:read")
def _(call: Call) -> tuple[int, Any]:
    login = call.parts["login"]
    if login.startswith("nobody"):
        raise Refusal(404, f"{login} is not a user")
    level = call.repository.collaborators.get(login, "none" if call.repository.private else "read")
    return 200, answers.permission(login, level)
