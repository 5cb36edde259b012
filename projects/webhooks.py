"""Deliveries of GitHub's webhooks: proved to be GitHub's, kept once, read into what they mean for us.

Order of work: the signature over the raw bytes first, then everything else. Only what we read of a payload is kept.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now
from pydantic import ValidationError

from paid.lib import outbox
from paid.lib.encryption import Secret
from paid.lib.tenancy import platform
from projects.contracts import CONTROL_QUEUE, DELIVERED_SIGNAL, INBOX_WORKFLOW, inbox_workflow_id
from projects.forges.base import ForgeIssue
from projects.forges.github import answers
from projects.forges.github.forge import as_forge_issue
from projects.models import ClaimState, ForgeKind, Project, PullRequest, WebhookDelivery

# GitHub sends up to 25 MB, but what we read (issues, pull requests, reviews, checks) stays far below this.
MAX_DELIVERY_BYTES = 2 * 1024 * 1024
CLAIM_TIME = timedelta(minutes=5)
_NOBODY = Secret("a project that does not exist has no secret")

READ_EVENTS = frozenset({"issues", "pull_request", "pull_request_review", "check_suite", "check_run", "status"})
ISSUE_ACTIONS = frozenset({"labeled", "unlabeled", "edited", "closed", "reopened", "deleted", "transferred"})
PULL_REQUEST_ACTIONS = frozenset({"closed", "reopened", "edited", "synchronize"})
REVIEW_ACTIONS = frozenset({"submitted", "dismissed", "edited"})


class WebhookRefused(Exception):
    """The delivery was not taken."""

    status = 400

    def __str__(self) -> str:
        return super().__str__() or type(self).__doc__ or ""


class UnknownDelivery(WebhookRefused):
    """There is no such webhook, or the signature does not match its secret."""

    # One answer for both: a stranger learns nothing about which projects exist.
    status = 404


class DeliveryTooLarge(WebhookRefused):
    """The delivery is larger than any that Paid reads."""

    status = 413


class DeliveryNotUnderstood(WebhookRefused):
    """The delivery is not JSON with the headers of GitHub: choose the content type application/json there."""


class Receipt(Enum):
    TAKEN = "taken"  # it will be looked at
    IGNORED = "ignored"  # nothing that concerns us
    KNOWN = "known"  # it came before


class Commit(answers.Lenient):
    head_sha: answers.Text = ""


class Payload(answers.Lenient):
    """What we read of a delivery's body, and all of it that is kept."""

    action: answers.Text = ""
    issue: answers.Issue | None = None
    label: answers.Label | None = None
    pull_request: answers.PullRequest | None = None
    check_suite: Commit | None = None
    check_run: Commit | None = None
    sha: answers.Text = ""  # of a commit status
    sender: answers.Person = answers.GHOST
    repository: answers.RepositoryName | None = None


@dataclass(frozen=True)
class IssueLabelled:
    issue: ForgeIssue
    label: str
    actor: str
    at: datetime


@dataclass(frozen=True)
class IssueChanged:
    """Edited, closed, reopened, unlabelled: the issue as it is now says it all."""

    issue: ForgeIssue


@dataclass(frozen=True)
class IssueGone:
    """Deleted, or transferred to another repository."""

    number: int


@dataclass(frozen=True)
class PullRequestTouched:
    """Merged, closed, reviewed, checked: its state is asked from GitHub, so that the order of arrival is no matter."""

    number: int


@dataclass(frozen=True)
class CommitChecked:
    sha: str


Meaning = IssueLabelled | IssueChanged | IssueGone | PullRequestTouched | CommitChecked


def receive(*, project_id: int, headers: Mapping[str, str], body: bytes) -> Receipt:
    """Take one delivery. `headers` is looked up by GitHub's names; `body` is the raw request.

    Raises WebhookRefused with the HTTP `status` to answer with. Nothing is stored then.
    """
    if len(body) > MAX_DELIVERY_BYTES:
        raise DeliveryTooLarge
    with platform():
        project = Project.objects.filter(pk=project_id, forge=ForgeKind.GITHUB, webhook_secret__isnull=False).first()
        secret: Secret = project.webhook_secret if project is not None else _NOBODY
        is_signed = is_authentic(secret, body, headers.get("X-Hub-Signature-256", ""))
        if project is None or not is_signed:
            raise UnknownDelivery
        delivery_id, event = headers.get("X-GitHub-Delivery", ""), headers.get("X-GitHub-Event", "")
        if not (0 < len(delivery_id) <= 100 and 0 < len(event) <= 100) or "\0" in delivery_id + event:
            raise DeliveryNotUnderstood
        return _keep(project, delivery_id, event, parse(event, body))


def is_authentic(secret: Secret, body: bytes, signature: str) -> bool:
    """Whether `signature` (`sha256=<hex>`) is the HMAC of the raw `body`; takes the same time either way."""
    expected = "sha256=" + hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())


def parse(event: str, body: bytes) -> Payload:
    """Of an event that we do not read, only whose it is: its shape is its own. Raises DeliveryNotUnderstood."""
    try:
        data = json.loads(body)
        if event not in READ_EVENTS and isinstance(data, dict):
            data = {"repository": data.get("repository")}
        return Payload.model_validate(data)
    except (ValidationError, ValueError, RecursionError):
        # Without the cause: its message quotes the body.
        raise DeliveryNotUnderstood from None


def meaning_of(event: str, payload: Payload) -> Meaning | None:
    """What a delivery means for us; None for what concerns us not."""
    match event:
        case "issues":
            return _meaning_of_issue(payload)
        case "pull_request" | "pull_request_review" if payload.pull_request is not None:
            actions = PULL_REQUEST_ACTIONS if event == "pull_request" else REVIEW_ACTIONS
            return PullRequestTouched(payload.pull_request.number) if payload.action in actions else None
        case "check_suite" | "check_run" if payload.action == "completed":
            commit = payload.check_suite or payload.check_run
            return CommitChecked(commit.head_sha) if commit and commit.head_sha else None
        case "status":
            return CommitChecked(payload.sha) if payload.sha else None
    return None


def _meaning_of_issue(payload: Payload) -> Meaning | None:
    if payload.issue is None or payload.action not in ISSUE_ACTIONS or payload.issue.pull_request is not None:
        return None
    issue = as_forge_issue(payload.issue)
    if payload.action in ("deleted", "transferred"):
        return IssueGone(issue.number)
    if payload.action == "labeled" and payload.label is not None and issue.updated_at is not None:
        return IssueLabelled(issue, payload.label.name, payload.sender.login, issue.updated_at)
    return IssueChanged(issue)


def _keep(project: Project, delivery_id: str, event: str, payload: Payload) -> Receipt:
    """Store the delivery once, and command its digestion in the same transaction where it concerns us."""
    is_ours = _is_of(project, payload)
    meaning = meaning_of(event, payload) if is_ours else None
    concerns_us = meaning is not None and _is_known(project, meaning)
    row = WebhookDelivery(
        account_id=project.account_id,
        project=project,
        delivery_id=delivery_id,
        event=event,
        payload=payload.model_dump(mode="json", exclude_defaults=True) if concerns_us else {},
        claim_state=ClaimState.RECEIVED if concerns_us else ClaimState.IGNORED,
        error="" if is_ours else "The delivery is about another repository.",
    )
    WebhookDelivery.objects.bulk_create([row], ignore_conflicts=True)
    # `ignore_conflicts` tells no id: the row that is there now is ours, or was there before.
    stored = WebhookDelivery.objects.values("pk", "claim_state").get(project=project, delivery_id=delivery_id)
    if stored["claim_state"] == ClaimState.RECEIVED:
        # The same key for the same row: a redelivery commands nothing twice.
        _command(project, int(stored["pk"]))
        return Receipt.TAKEN
    return Receipt.IGNORED if stored["claim_state"] == ClaimState.IGNORED else Receipt.KNOWN


def _command(project: Project, row_id: int) -> None:
    outbox.command(
        account_id=project.account_id,
        workflow_type=INBOX_WORKFLOW,
        workflow_id=inbox_workflow_id(project.pk),
        task_queue=CONTROL_QUEUE,
        signal=DELIVERED_SIGNAL,
        payload={"account_id": project.account_id, "delivery_id": row_id},
        dedupe_key=f"webhook-{row_id}",
    )


def _is_of(project: Project, payload: Payload) -> bool:
    name = payload.repository.full_name if payload.repository else ""
    return name.lower() == f"{project.owner}/{project.repo}".lower()


def _is_known(project: Project, meaning: Meaning) -> bool:
    """Issues always concern us; of pull requests and commits only those that came from a run of ours."""
    match meaning:
        case PullRequestTouched(number):
            return PullRequest.objects.filter(project=project, number=number).exists()
        case CommitChecked(sha):
            return PullRequest.objects.filter(project=project, head_sha=sha).exists()
    return True


# --- claims


class ClaimedElsewhere(Exception):
    """Somebody digests this delivery, or died while doing so: its claim still holds for some minutes."""


@dataclass(frozen=True)
class Claimed:
    """A delivery that is ours to digest until the claim runs out."""

    id: int
    account_id: int
    project_id: int
    event: str
    payload: Payload


def claim(delivery_id: int) -> Claimed | None:
    """Claim a delivery for digestion; None when it is done or gone. Raises ClaimedElsewhere."""
    with platform():
        free = Q(claim_state=ClaimState.RECEIVED) | Q(claim_state=ClaimState.CLAIMED, claimed_until__lt=Now())
        won = WebhookDelivery.objects.filter(free, pk=delivery_id).update(
            claim_state=ClaimState.CLAIMED, claimed_until=Now() + CLAIM_TIME
        )
        row = WebhookDelivery.objects.filter(pk=delivery_id).first()
    if row is None:
        return None
    if not won and row.claim_state == ClaimState.CLAIMED:
        raise ClaimedElsewhere
    if not won:
        return None
    return Claimed(row.pk, row.account_id, row.project_id, row.event, Payload.model_validate(row.payload))


def release(delivery_id: int) -> None:
    """Give the claim back, so that the next attempt need not wait until it runs out."""
    with platform():
        WebhookDelivery.objects.filter(pk=delivery_id, claim_state=ClaimState.CLAIMED).update(
            claim_state=ClaimState.RECEIVED, claimed_until=None
        )


def give_up(delivery_id: int, error: str) -> None:
    """End a delivery whose digestion failed for good, claimed or not."""
    with platform():
        unsettled = Q(claim_state__in=(ClaimState.RECEIVED, ClaimState.CLAIMED))
        WebhookDelivery.objects.filter(unsettled, pk=delivery_id).update(
            claim_state=ClaimState.FAILED, claimed_until=None, error=error[:2000]
        )


def settle(delivery_id: int, state: ClaimState, error: str = "") -> bool:
    """End the claim, in the transaction of what the delivery did. False when the claim was lost: undo it then."""
    with platform():
        settled: Any = WebhookDelivery.objects.filter(pk=delivery_id, claim_state=ClaimState.CLAIMED).update(
            claim_state=state, claimed_until=None, error=error[:2000]
        )
    return bool(settled)
