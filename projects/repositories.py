"""Where repositories lie on this host. Paths are made of numbers: no name that a person typed becomes a path."""

from pathlib import Path

from django.conf import settings

from projects.models import Project


def local_repository(project: Project) -> Path:
    """The bare repository of a project whose forge is this machine."""
    return Path(settings.REPOSITORIES_DIR) / "local" / f"{project.pk}.git"
