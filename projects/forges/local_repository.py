"""Bare repositories on this machine: where they are, and how one begins."""

from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

from paid.lib.git import git
from projects.models import Project

AUTHOR = "Paid <paid@localhost>"


def repository_path(project: Project) -> Path:
    """The tenant's id is part of the path: no name that a tenant chooses leads out of its own directory."""
    return Path(settings.REPOSITORIES_DIR) / "local" / str(project.account_id) / f"{project.pk}.git"


def create_repository(project: Project, files: Mapping[str, str], message: str) -> None:
    """Make the project's repository with one commit on its default branch. Does nothing when there is one."""
    path = repository_path(project)
    if path.exists():
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Complete under another name first: a half-made repository is never taken for a whole one.
    scratch = path.with_name(f".{path.name}.new")
    branch = f"refs/heads/{project.default_branch}"
    git(scratch, ["init", "--quiet", "--bare", "--template=", str(scratch)])
    git(scratch, ["symbolic-ref", "HEAD", branch])
    git(scratch, ["fast-import", "--quiet", "--date-format=now"], stdin=_first_commit(branch, files, message))
    scratch.rename(path)


def _first_commit(branch: str, files: Mapping[str, str], message: str) -> bytes:
    """A stream for `git fast-import`: needs no work tree, and nothing of it is ever executed."""
    stream = [f"commit {branch}\ncommitter {AUTHOR} now\n".encode(), _data(message)]
    for name, text in sorted(files.items()):
        stream += [f"M 100644 inline {name}\n".encode(), _data(text)]
    return b"".join(stream) + b"done\n"


def _data(text: str) -> bytes:
    content = text.encode()
    return b"data %d\n%s\n" % (len(content), content)
