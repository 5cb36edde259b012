"""What changed between two commits of a repository of ours, within bounds."""

import subprocess
from collections.abc import Sequence

from agent_runs.contracts import Diff
from agent_runs.workspace.errors import as_workspace_error
from paid.lib.git import HARDENED, GitFailed, git, git_environment

PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--no-renames")


def first_bytes(git_dir: str, arguments: Sequence[str], limit_bytes: int) -> tuple[bytes, bool]:
    """Output of git up to a limit, and whether there was more; the rest is neither read nor made.

    Raises GitFailed: half of a difference must not pass for all of it, least of all where secrets are looked for.
    """
    argv = ["git", *HARDENED, f"--git-dir={git_dir}", *arguments]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=git_environment()
    ) as process:
        output = process.stdout.read(limit_bytes + 1) if process.stdout else b""
        is_cut = len(output) > limit_bytes
        if is_cut:
            process.kill()
    if not is_cut and process.returncode != 0:
        raise GitFailed(f"git {arguments[0]} ended with {process.returncode}.")
    return output[:limit_bytes], is_cut


@as_workspace_error()
def diff(*, git_dir: str, base_sha: str, head_sha: str, limit_bytes: int = 1_000_000) -> Diff:
    """The difference as text for people. Raises WorkspaceError when a commit is not there."""
    counts = git(git_dir, ["diff", *PLAIN, "--numstat", "-z", base_sha, head_sha]).split(b"\0")
    files = insertions = deletions = 0
    for entry in filter(None, counts):
        added, removed, _ = entry.split(b"\t", 2)
        files += 1
        # A binary file counts "-".
        insertions += int(added) if added.isdigit() else 0
        deletions += int(removed) if removed.isdigit() else 0
    text, is_truncated = first_bytes(git_dir, ["diff", *PLAIN, base_sha, head_sha], limit_bytes)
    return Diff(text.decode(errors="replace").replace("\0", "\ufffd"), is_truncated, files, insertions, deletions)
