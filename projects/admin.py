"""Projects and issues, for the host's staff."""

from django.contrib import admin
from django.http import HttpRequest

from accounts.admin_base import AuditedAdmin, ReadOnlyAdmin
from projects.models import Issue, Project, PullRequest


@admin.register(Project)
class ProjectAdmin(AuditedAdmin):
    """A project is made where its repository can be checked: in its account's pages."""

    fields = ("account", "name", "forge", "owner", "repo", "default_branch", "is_active", "labels", "settings")
    readonly_fields = ("account", "forge", "owner", "repo")
    list_display = ("name", "account", "forge", "owner", "repo", "is_active")
    list_filter = ("forge", "is_active")
    search_fields = ("name", "owner", "repo", "account__name")
    list_select_related = ("account",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Issue)
class IssueAdmin(ReadOnlyAdmin):
    list_display = ("number", "title", "project", "state", "work_state")
    list_filter = ("state", "work_state")
    search_fields = ("title", "=number")
    list_select_related = ("project",)


@admin.register(PullRequest)
class PullRequestAdmin(ReadOnlyAdmin):
    list_display = ("number", "title", "project", "head_branch", "created_at")
    search_fields = ("title", "head_branch", "=number")
    list_select_related = ("project",)
