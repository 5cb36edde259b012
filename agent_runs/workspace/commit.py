"""Turn what an agent left into one commit of ours.

Git over a tree that an agent wrote can run code of that tree, so it runs in a sandbox of its own: no network, no
gateway, the files read-only, and a git directory and configuration that the agent never saw. Commits that the
agent made itself stay in its throw-away directory; only the files count.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from agent_runs.contracts import CommitOutcome, ReadOnlyBind, Workspace
from agent_runs.sandbox import SandboxSpec, run_sealed
from agent_runs.workspace.errors import NestedRepository, as_workspace_error
from paid.lib.git import HARDENED, GitFailed

_GIT_DIR_INSIDE = "/run/paid/git"
# Files that steer agents, or run when a person touches the repository. An agent must not change how the next one is
# steered: they are put back as they are in the base commit. Compared in lower case, at any depth.
_STEERING_NAMES = frozenset(
    {
        "claude.md", "claude.local.md", "agents.md", "gemini.md", ".mcp.json", "opencode.json", ".cursorrules",
        ".windsurfrules", ".gitmodules",
    }
)  # fmt: skip
_STEERING_DIRECTORIES = frozenset(
    {".claude", ".codex", ".gemini", ".opencode", ".cursor", ".aider", ".githooks", ".husky", ".git"}
)


def steers_agents_or_git(path: str) -> bool:
    parts = PurePosixPath(path.lower()).parts
    name = parts[-1] if parts else ""
    return name in _STEERING_NAMES or name.startswith(".aider.") or not _STEERING_DIRECTORIES.isdisjoint(parts)


@as_workspace_error()
def commit_all(workspace: Workspace, *, message: str, author_name: str, author_email: str) -> CommitOutcome:
    """Commit every change of the work tree on the run's branch, on top of the base commit.

    Called again without further changes it returns the same commit. Raises WorkspaceError, NestedRepository among
    them.
    """
    sealed = _SealedGit(workspace)
    _refuse_nested_repositories(workspace, sealed)
    sealed("read-tree", workspace.base_sha)
    sealed("add", "--all", "--", ".")
    changed = sealed.changed_paths()
    restored = tuple(path for path in changed if steers_agents_or_git(path))
    if restored:
        listed = "\0".join(restored).encode(errors="surrogateescape")
        sealed("reset", "--quiet", workspace.base_sha, "--pathspec-from-file=-", "--pathspec-file-nul", stdin=listed)
    tree = sealed.text("write-tree")
    kept = tuple(path for path in changed if path not in restored)
    if tree == sealed.text("rev-parse", f"{workspace.base_sha}^{{tree}}"):
        return CommitOutcome(None, (), _as_text(restored))
    reference = f"refs/heads/{workspace.branch}"
    head = sealed.text("rev-parse", reference)
    if head == workspace.base_sha or sealed.text("rev-parse", f"{head}^{{tree}}") != tree:
        identity = {
            "GIT_AUTHOR_NAME": author_name,
            "GIT_AUTHOR_EMAIL": author_email,
            "GIT_COMMITTER_NAME": author_name,
            "GIT_COMMITTER_EMAIL": author_email,
        }
        arguments = ("commit-tree", tree, "-p", workspace.base_sha, "-F", "-")
        head = sealed(*arguments, stdin=message.encode(), environment=identity).decode().strip()
        sealed("update-ref", reference, head)
    return CommitOutcome(head, _as_text(kept), _as_text(restored))


def _as_text(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Names are bytes; pages, forges and the database take text only."""
    return tuple(os.fsencode(path).decode(errors="replace") for path in paths)


class _SealedGit:
    """Git in a sandbox, over the agent's files and our own git directory."""

    def __init__(self, workspace: Workspace) -> None:
        objects = f"{workspace.cache_dir}/objects"
        self._spec = SandboxSpec(
            workspace=workspace.path,
            workspace_writable=False,
            read_only=(ReadOnlyBind(objects, objects),),
            writable=((workspace.git_dir, _GIT_DIR_INSIDE),),
        )
        self._environment = {
            "GIT_DIR": _GIT_DIR_INSIDE,
            "GIT_WORK_TREE": "/workspace",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_LITERAL_PATHSPECS": "1",
        }
        self._base_sha = workspace.base_sha

    def __call__(self, *arguments: str, stdin: bytes = b"", environment: dict[str, str] | None = None) -> bytes:
        argv = ["git", *HARDENED, *arguments]
        known = self._environment | (environment or {})
        result = run_sealed(self._spec, argv, environment=known, stdin=stdin, timeout_seconds=300)
        # check-ignore answers 1 for "none of them".
        if result.exit_code != 0 and not (arguments[0] == "check-ignore" and result.exit_code == 1):
            raise GitFailed(f"git {arguments[0]} failed: {result.stderr.decode(errors='replace').strip()[-2000:]}")
        return result.stdout

    def text(self, *arguments: str) -> str:
        return self(*arguments).decode(errors="surrogateescape").strip()

    def changed_paths(self) -> tuple[str, ...]:
        output = self("diff-index", "--cached", "--name-only", "--no-renames", "-z", self._base_sha)
        return tuple(path.decode(errors="surrogateescape") for path in output.split(b"\0") if path)


def _nested_repositories(root: Path) -> Iterator[str]:
    """Paths, relative to `root`, of everything called .git below the top; links are not followed."""
    for directory, names, files in os.walk(root, followlinks=False):
        is_top = Path(directory) == root
        for name in (*names, *files):
            if name.lower() == ".git" and not is_top:
                yield str((Path(directory) / name).relative_to(root))
        names[:] = [name for name in names if name.lower() != ".git"]


def _refuse_nested_repositories(workspace: Workspace, sealed: _SealedGit) -> None:
    nested = list(_nested_repositories(Path(workspace.path)))
    if not nested:
        return
    # What the repository ignores (installed packages) is never added, so it may hold what it likes.
    parents = {path: f"./{Path(path).parent}" for path in nested}
    listed = "\0".join(parents.values()).encode(errors="surrogateescape")
    # check-ignore takes no literal pathspecs; the leading ./ keeps a name like ":(top)" from being read as magic.
    answer = sealed("check-ignore", "-z", "--stdin", stdin=listed, environment={"GIT_LITERAL_PATHSPECS": "0"})
    ignored = set(answer.decode(errors="surrogateescape").split("\0"))
    refused = [path for path in nested if parents[path] not in ignored]
    if refused:
        named = ", ".join(_as_text(tuple(refused[:5])))
        raise NestedRepository(
            f"The agent left a git repository inside the work tree ({named}), which Paid neither runs git over nor "
            "publishes. Say in the issue that none may be made, then retry the run."
        )
