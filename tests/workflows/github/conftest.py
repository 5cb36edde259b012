import pytest
from django.core.management import call_command

from paid.lib.tenancy import platform
from projects.models import Project
from tests.standins.github.fixtures import account, github, project, repository

__all__ = ["account", "github", "project", "repository", "runnable"]


@pytest.fixture
def runnable(project: Project) -> Project:
    """The connected project with seeded prompts and the scripted model, so that a run can start."""
    call_command("seed_prompts", verbosity=0)
    call_command("sync_models", verbosity=0)
    with platform():
        project.settings = {"is_demo": True}
        project.save(update_fields=["settings"])
    return project
