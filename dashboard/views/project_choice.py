"""Which project a page of the account is about."""

from dashboard.views.access import AccountRequest
from projects.models import Project

PROJECTS_OFFERED = 200


def chosen_project(request: AccountRequest) -> tuple[list[Project], Project | None]:
    """Those to choose from, and the chosen one: the first unless the address says otherwise."""
    projects = list(Project.objects.filter(account=request.account).order_by("name", "pk")[:PROJECTS_OFFERED])
    wanted = request.GET.get("project", "")
    return projects, next((each for each in projects if str(each.pk) == wanted), next(iter(projects), None))
