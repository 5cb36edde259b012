"""Files of an agent at work, which come and go while they are looked through."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def files_below(directory: Path) -> Iterator[Path]:
    """Unlike `rglob` it walks on past a directory that goes away meanwhile."""
    for where, _, names in os.walk(directory):
        for name in names:
            path = Path(where, name)
            if not path.is_symlink() and path.is_file():
                yield path


def contents(paths: Iterable[Path]) -> dict[Path, bytes]:
    """Of what is there long enough to be read: an agent at work starts and ends processes, makes and removes files."""
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            found[path] = path.read_bytes()
    return found
