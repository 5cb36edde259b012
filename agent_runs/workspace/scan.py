"""Look for what must not be published without a person: secrets, changed CI workflows, huge files, links outwards."""

import posixpath
import re
from collections.abc import Iterator

from agent_runs.contracts import Finding
from agent_runs.workspace.difference import PLAIN, first_bytes
from agent_runs.workspace.errors import as_workspace_error
from paid.lib.git import git

_LARGE_BYTES = 5 * 1024 * 1024
_SEARCHED_BYTES = 64 * 1024 * 1024
_LINK_MODE = "120000"

# Only forms that hardly occur by chance: a false alarm holds up a pull request.
_SECRETS = (
    ("private key", re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")),
    ("GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})")),
    ("Anthropic key", re.compile(r"\bsk-ant-[A-Za-z0-9_-]{20,}")),
    ("OpenAI key", re.compile(r"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{40,}")),
    ("AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("Google API key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b")),
    ("Slack token", re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{10,}")),
    ("Stripe key", re.compile(r"\b[rs]k_live_[0-9A-Za-z]{16,}")),
    ("GitLab token", re.compile(r"\bglpat-[0-9A-Za-z_-]{20,}")),
    ("npm token", re.compile(r"\bnpm_[0-9A-Za-z]{36}\b")),
    ("PyPI token", re.compile(r"\bpypi-AgEIcHlwaS[0-9A-Za-z_-]{20,}")),
)
_WORKFLOWS = re.compile(
    r"^(?:\.github/(?:workflows|actions)/|\.(?:gitea|forgejo)/workflows/|\.circleci/|\.buildkite/|\.woodpecker/"
    r"|\.gitlab-ci\.ya?ml$|\.travis\.ya?ml$|azure-pipelines\.ya?ml$|bitbucket-pipelines\.ya?ml$|Jenkinsfile$)",
    re.IGNORECASE,
)
_HUNK = re.compile(r"^@@ -\S+ \+(\d+)")


@as_workspace_error()
def scan(*, git_dir: str, base_sha: str, head_sha: str, known_secrets: tuple[str, ...] = ()) -> list[Finding]:
    """Findings in what `head_sha` adds to `base_sha`. `known_secrets` are values that must not occur, such as the
    run's token. Raises WorkspaceError when a commit is not there.
    """
    findings = list(_file_findings(git_dir, base_sha, head_sha))
    # `--text`: an attribute must not hide a file as binary.
    arguments = ["diff", *PLAIN, "--text", "--unified=0", "--dst-prefix=", base_sha, head_sha]
    output, is_cut = first_bytes(git_dir, arguments, _SEARCHED_BYTES)
    if is_cut:
        # Whoever wants to publish a secret could put it behind that much of anything else.
        excerpt = f"More than {_SEARCHED_BYTES // 1024**2} MiB of changes: not all were searched for secrets."
        findings.append(Finding("unsearched", "", None, excerpt))
    for path, number, line in _added_lines(output):
        findings += [Finding("secret", path, number, excerpt) for excerpt in _secrets_in(line, known_secrets)]
    return findings


def _file_findings(git_dir: str, base_sha: str, head_sha: str) -> Iterator[Finding]:
    raw = git(git_dir, ["diff-tree", "-r", "-z", "--no-renames", base_sha, head_sha]).decode(errors="replace")
    fields = raw.split("\0")
    for header, path in zip(fields[::2], fields[1::2], strict=False):
        _, mode, _, sha, status = header.split(" ")
        if _WORKFLOWS.match(path):
            yield Finding("workflow_file", path, None, f"Changes what CI runs ({status}).")
        if status == "D":
            continue
        if mode == _LINK_MODE:
            target = git(git_dir, ["cat-file", "blob", sha]).decode(errors="replace")
            if _leads_out(path, target):
                yield Finding("symlink", path, None, f"Link out of the repository: {target[:100]}")
        elif mode.startswith("100") and (size := int(git(git_dir, ["cat-file", "-s", sha]))) > _LARGE_BYTES:
            yield Finding("large_file", path, None, f"{size / 1024**2:.1f} MiB")


def _leads_out(path: str, target: str) -> bool:
    resolved = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return target.startswith("/") or resolved == ".." or resolved.startswith("../")


def _added_lines(output: bytes) -> Iterator[tuple[str, int, str]]:
    """Path, line number and text of each added line."""
    path, number, in_hunk = "", 0, False
    for line in output.decode(errors="replace").split("\n"):
        if line.startswith("diff --git "):
            in_hunk = False
        elif not in_hunk and line.startswith("+++ "):
            path = line[4:].rstrip("\t")
        elif found := _HUNK.match(line):
            number, in_hunk = int(found[1]), True
        elif in_hunk and line.startswith("+"):
            yield path, number, line[1:]
            number += 1


def _secrets_in(line: str, known_secrets: tuple[str, ...]) -> Iterator[str]:
    for known in known_secrets:
        if known and known in line:
            yield "a secret of this run"
    for name, pattern in _SECRETS:
        for found in pattern.finditer(line):
            yield f"{name} {found[0][:7]}…"
