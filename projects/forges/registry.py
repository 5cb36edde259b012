"""Which forge a project lives on."""

from projects.forges.base import Forge
from projects.forges.github import GithubForge
from projects.forges.local import LocalForge
from projects.models import ForgeKind, Project

_FORGES: dict[str, type[Forge]] = {ForgeKind.GITHUB: GithubForge, ForgeKind.LOCAL: LocalForge}


def forge_for(project: Project) -> Forge:
    return _FORGES[project.forge]()
