"""Real bare repositories for tests."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

_IDENTITY = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")


def git(directory: Path, *arguments: str) -> str:
    argv = ["git", *_IDENTITY, "-C", str(directory), *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def make_bare(root: Path, files: Mapping[str, str]) -> Path:
    """A bare repository with one commit on `main`, and a clone of it beside it to push further commits from."""
    bare, clone = root / "forge.git", root / "clone"
    git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(root, "clone", "--quiet", str(bare), str(clone))
    push(clone, files, "First commit")
    return bare


def push(clone: Path, files: Mapping[str, str], message: str) -> str:
    write(clone, files)
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", message)
    git(clone, "push", "--quiet", "origin", "HEAD:main")
    return git(clone, "rev-parse", "HEAD")
