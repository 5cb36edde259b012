"""Projects with their issues and pull requests."""

import factory

from accounts.models import Role
from projects.models import Comment, ForgeKind, Issue, Project, ProjectMembership, PullRequest, WebhookDelivery
from tests.factories.accounts import AccountFactory, UserFactory
from tests.factories.base import PlatformFactory


class ProjectFactory(PlatformFactory):
    class Meta:
        model = Project

    account = factory.SubFactory(AccountFactory)
    name = factory.Sequence(lambda n: f"Project {n}")
    forge = ForgeKind.LOCAL
    owner = "local"
    repo = factory.Sequence(lambda n: f"project-{n}")


class InProject(PlatformFactory):
    """A row of a project belongs to the project's account."""

    class Meta:
        abstract = True

    project = factory.SubFactory(ProjectFactory)
    account = factory.SelfAttribute("project.account")


class ProjectMembershipFactory(InProject):
    class Meta:
        model = ProjectMembership

    user = factory.SubFactory(UserFactory)
    role = Role.ADMIN


class IssueFactory(InProject):
    class Meta:
        model = Issue

    number = factory.Sequence(lambda n: n + 1)
    title = factory.LazyAttribute(lambda issue: f"Issue {issue.number}")


class CommentFactory(InProject):
    class Meta:
        model = Comment

    number = 1
    author = "alice"
    body = "Please."


class PullRequestFactory(InProject):
    class Meta:
        model = PullRequest

    number = factory.Sequence(lambda n: n + 1)
    marker = factory.Sequence(lambda n: f"paid-run-{n}")
    title = factory.LazyAttribute(lambda pull_request: f"Pull request {pull_request.number}")
    head_branch = factory.LazyAttribute(lambda pull_request: f"paid/{pull_request.number}")
    base_branch = "main"
    head_sha = "b" * 40
    base_sha = "a" * 40


class WebhookDeliveryFactory(InProject):
    class Meta:
        model = WebhookDelivery

    delivery_id = factory.Sequence(lambda n: f"delivery-{n}")
    event = "issues"
