from projects.models.issues import Comment, Issue, IssueState, WorkState
from projects.models.projects import ForgeKind, Project, ProjectMembership
from projects.models.pull_requests import ChecksState, PullRequest, PullRequestState, ReviewState
from projects.models.webhooks import ClaimState, WebhookDelivery

__all__ = [
    "ChecksState",
    "ClaimState",
    "Comment",
    "ForgeKind",
    "Issue",
    "IssueState",
    "Project",
    "ProjectMembership",
    "PullRequest",
    "PullRequestState",
    "ReviewState",
    "WebhookDelivery",
    "WorkState",
]
