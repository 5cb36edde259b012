"""What became of a pull request: reviews and checks reduced to one word each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from projects.forges.base import ForgePullRequest
from projects.forges.github.answers import CheckRun, CombinedStatus, Review

ReviewWord = Literal["", "approved", "changes_requested"]
ChecksWord = Literal["", "pending", "success", "failure"]

# On a public repository anybody may approve: only the word of people who belong to it counts.
WITH_A_SAY = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
PASSED = frozenset({"success", "neutral", "skipped"})


@dataclass(frozen=True)
class Progress:
    pull_request: ForgePullRequest
    merged_at: datetime | None
    merged_by: str
    closed_at: datetime | None
    review_state: ReviewWord
    checks_state: ChecksWord


def review_state(reviews: Iterable[Review]) -> ReviewWord:
    """The latest verdict of each reviewer counts; one who asks for changes outweighs all who approve."""
    verdicts: dict[str, str] = {}
    for review in reviews:
        verdict = review.state.lower()
        if review.author_association in WITH_A_SAY and verdict in ("approved", "changes_requested", "dismissed"):
            verdicts[review.user.login] = verdict
    if "changes_requested" in verdicts.values():
        return "changes_requested"
    return "approved" if "approved" in verdicts.values() else ""


def checks_state(runs: Sequence[CheckRun], status: CombinedStatus) -> ChecksWord:
    """Check runs and commit statuses together. GitHub calls a commit without any status "pending"."""
    has_status = status.total_count > 0
    finished = [run.conclusion for run in runs if run.status == "completed"]
    if any(conclusion not in PASSED for conclusion in finished):
        return "failure"
    if has_status and status.state in ("failure", "error"):
        return "failure"
    if len(finished) < len(runs) or (has_status and status.state == "pending"):
        return "pending"
    return "success" if runs or has_status else ""
