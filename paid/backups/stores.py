"""Any store that has a command: `aws s3 cp - s3://bucket/{path}`, `rclone rcat remote:{path}`, `mc pipe …`.

`{path}` becomes `<backup>/<file>`. The command runs without a shell; the file is its standard input, or its output.
"""

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from paid.backups import manifest
from paid.backups.manifest import BackupError, Manifest

PLACE = "{path}"


def send(directory: Path, made: Manifest, template: str, say: Callable[[str], None]) -> None:
    """Send each file; the manifest goes last, so that half a backup is never taken for one."""
    for name in (*made.files, manifest.NAME):
        path = f"{made.name}/{name}"
        say(f"sending {path}")
        with (directory / made.name / name).open("rb") as file:
            done = subprocess.run(_argv(template, path), stdin=file, stderr=subprocess.PIPE, check=False)
        _must_have_worked(done, path)


def fetch(name: str, directory: Path, template: str, say: Callable[[str], None]) -> Path:
    """Bring the backup `name` into `directory`, and return where it is. Its checksums are for the caller to look at."""
    target = directory / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(mode=0o700, parents=True)
    _bring(name, manifest.NAME, target, template)
    for file in manifest.read(target).files:
        if not (target / file).resolve().is_relative_to(target.resolve()):
            raise BackupError(f"The manifest of {name} names a file outside of it: {file}")
        say(f"fetching {name}/{file}")
        _bring(name, file, target, template)
    return target


def _bring(name: str, file: str, target: Path, template: str) -> None:
    path = target / file
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("wb") as output:
        done = subprocess.run(_argv(template, f"{name}/{file}"), stdout=output, stderr=subprocess.PIPE, check=False)
    _must_have_worked(done, f"{name}/{file}")


def _argv(template: str, path: str) -> list[str]:
    words = shlex.split(template)
    if not any(PLACE in word for word in words):
        raise BackupError(f"The command has no {PLACE}: {template!r}. Example: aws s3 cp - s3://bucket/{PLACE}")
    return [word.replace(PLACE, path) for word in words]


def _must_have_worked(done: subprocess.CompletedProcess[bytes], path: str) -> None:
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()[-500:]
        raise BackupError(f"The store's command ended with {done.returncode} for {path}: {words or 'it said nothing'}")
