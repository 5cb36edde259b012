"""Objects as GitHub sends them: its published examples with our facts put in."""

from datetime import datetime
from typing import Any

from tests.standins.github.published.read import example
from tests.standins.github.state import Issue, PullRequest, Repository

REPOSITORY = "/repos/{owner}/{repo}"


def moment(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at else None


def user_id(login: str) -> int:
    return int.from_bytes(login.encode()[:6], "big")


def person(login: str) -> dict[str, Any]:
    answer: dict[str, Any] = example("GET", REPOSITORY + "/issues")[0]["user"]
    answer.update(login=login, id=user_id(login), type="Bot" if login.endswith("[bot]") else "User")
    return answer


def viewer(login: str) -> dict[str, Any]:
    answer: dict[str, Any] = example("GET", "/user")
    answer.update(login=login, id=user_id(login))
    return answer


def repository(found: Repository, *, permission: str) -> dict[str, Any]:
    answer: dict[str, Any] = example("GET", REPOSITORY)
    # The example's fork relations lack fields that the description itself requires.
    for name in ("source", "parent", "template_repository"):
        answer.pop(name, None)
    ranks = ["none", "read", "triage", "write", "maintain", "admin"]
    rank = ranks.index(permission)
    answer.update(
        name=found.name,
        full_name=found.full_name,
        owner=person(found.owner),
        default_branch=found.default_branch,
        size=found.size,
        archived=found.archived,
        private=found.private,
        language="Python",
        permissions={
            name: rank >= ranks.index(need)
            for name, need in (
                ("admin", "admin"),
                ("maintain", "maintain"),
                ("push", "write"),
                ("triage", "triage"),
                ("pull", "read"),
            )
        },
    )
    return answer


def label(name: str) -> dict[str, Any]:
    answer: dict[str, Any] = example("POST", REPOSITORY + "/issues/{issue_number}/labels")[0]
    answer.update(name=name, id=user_id(name))
    return answer


def issue(found: Issue) -> dict[str, Any]:
    answer: dict[str, Any] = example("GET", REPOSITORY + "/issues")[0]
    answer.pop("pull_request")
    answer.update(
        id=10_000 + found.number,
        number=found.number,
        title=found.title,
        body=found.body,
        state=found.state,
        user=person(found.author),
        labels=[label(name) for name in found.labels],
        comments=len(found.comments),
        updated_at=moment(found.updated_at),
        closed_at=moment(found.updated_at) if found.state == "closed" else None,
        html_url=f"https://github.example/issues/{found.number}",
    )
    return answer


def comment(found: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = example("GET", REPOSITORY + "/issues/{issue_number}/comments")[0]
    answer.update(
        id=found["id"],
        body=found["body"],
        user=person(found["author"]),
        created_at=moment(found["at"]),
        updated_at=moment(found["at"]),
    )
    return answer


def labelled_event(found: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = example("GET", REPOSITORY + "/issues/{issue_number}/events")[0]
    answer.update(
        id=found["id"],
        event=found["event"],
        actor=person(found["actor"]),
        created_at=moment(found["at"]),
        label={"name": found["label"], "color": "ededed"},
    )
    return answer


def pull_request(found: PullRequest, where: Repository, *, head_sha: str, base_sha: str) -> dict[str, Any]:
    answer: dict[str, Any] = example("GET", REPOSITORY + "/pulls/{pull_number}")
    head, base = answer["head"], answer["base"]
    head.update(ref=found.head, sha=head_sha, label=f"{found.head_repository.split('/')[0]}:{found.head}")
    head["repo"]["full_name"] = found.head_repository
    base.update(ref=found.base, sha=base_sha)
    base["repo"]["full_name"] = where.full_name
    answer.update(
        number=found.number,
        title=found.title,
        body=found.body,
        state=found.state,
        user=person(found.author),
        merged=found.merged_at is not None,
        merged_at=moment(found.merged_at),
        closed_at=moment(found.closed_at),
        merged_by=person(found.merged_by) if found.merged_by else None,
        merge_commit_sha=found.merge_sha,
        updated_at=moment(found.updated_at),
        html_url=f"https://github.example/pull/{found.number}",
        requested_teams=[],
    )
    return answer


def listed_pull_request(whole: dict[str, Any]) -> dict[str, Any]:
    """Lists leave out what is expensive to know, `merged` among it."""
    kept = example("GET", REPOSITORY + "/pulls")[0].keys()
    return {name: value for name, value in whole.items() if name in kept}


def review(found: dict[str, str]) -> dict[str, Any]:
    answer: dict[str, Any] = example("GET", REPOSITORY + "/pulls/{pull_number}/reviews")[0]
    answer.update(
        user=person(found["author"]), state=found["state"], author_association=found.get("association", "COLLABORATOR")
    )
    return answer


def check_runs(found: list[tuple[str, str | None]]) -> dict[str, Any]:
    answer: dict[str, Any] = example("GET", REPOSITORY + "/commits/{ref}/check-runs")
    one = answer["check_runs"][0]
    runs = [
        {**one, "id": 1 + place, "status": status, "conclusion": end, "pull_requests": []}
        for place, (status, end) in enumerate(found)
    ]
    return {"total_count": len(runs), "check_runs": runs}


def combined_status() -> dict[str, Any]:
    answer: dict[str, Any] = example("GET", REPOSITORY + "/commits/{ref}/status")
    answer.update(state="pending", statuses=[], total_count=0)
    return answer


def permission(login: str, level: str) -> dict[str, Any]:
    legacy = {"maintain": "write", "triage": "read"}.get(level, level)
    # The published example's user lacks what its description requires.
    user = {**person(login), "email": None, "name": login, "role_name": level, "permissions": None}
    user.pop("permissions")
    return {"permission": legacy, "role_name": level, "user": user}


def commit(sha: str) -> dict[str, Any]:
    answer: dict[str, Any] = example("GET", REPOSITORY + "/commits")[0]
    answer["sha"] = sha
    return answer
