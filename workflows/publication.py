"""The words of a publication: commit, pull request, comment."""

from collections.abc import Sequence

from agent_runs.contracts import CommitOutcome
from agent_runs.models import AgentRun
from projects.forges.base import ForgeIssue, ForgePullRequest
from prompts.context import context_for
from prompts.rendering import fenced_texts

SUMMARY_CHARACTERS = 4_000
EDITED = "The issue was edited after this run had begun: the change was made from its older text."


def marker_of(run: AgentRun) -> str:
    """Hidden in the pull request's body: whoever looks for this run's pull request finds it by this."""
    return f"paid-run-{run.pk}"


def commit_message(run: AgentRun) -> str:
    return f"{pull_request_title(run)}\n\nCloses #{run.issue.number}\nPaid-Run: {run.pk}\n"


def pull_request_title(run: AgentRun) -> str:
    return " ".join(run.issue.title.split())[:200] or f"Issue #{run.issue.number}"


def was_edited(run: AgentRun, told: ForgeIssue) -> bool:
    """Whether the issue says something else than what this run's agent was given.

    Asks the frozen prompt itself: our copy of the issue follows the forge, and changes for comments and labels too.
    """
    given, template = fenced_texts(run.prompt_text), run.prompt_version.template
    issue = run.issue
    issue.title, issue.body = told.title, told.body
    now = context_for(project=run.project, issue=issue).issue
    return any(
        # A fence takes the newlines at the edges, and is left out around nothing.
        given.get(text.source, "").strip("\n") != text.strip("\n")
        for name, text in (("issue.title", now.title), ("issue.body", now.body))
        if name in template
    )


def pull_request_body(
    run: AgentRun, commit: CommitOutcome, *, checks: Sequence[str] = (), is_edited: bool = False
) -> str:
    """`checks` are lines about what was run on the commit."""
    version = run.prompt_version
    parts = [
        f"Closes #{run.issue.number}.",
        run.summary.strip()[:SUMMARY_CHARACTERS],
        "\n".join(f"- {line}" for line in checks),
        f"Made by run {run.pk} with {run.language_model}{_scripted(run)}, prompt `{version.prompt.slug}` "
        f"version {version.version}. A person decides whether it is merged.",
    ]
    if is_edited:
        parts.append(EDITED)
    if commit.restored_paths:
        names = ", ".join(f"`{path}`" for path in commit.restored_paths[:20])
        parts.append(f"Left as they were, because agents may not change them: {names}.")
    return "\n\n".join(part for part in parts if part)


def comment_body(run: AgentRun, opened: ForgePullRequest) -> str:
    return f"Run {run.pk} opened pull request #{opened.number}: {opened.url}"


def _scripted(run: AgentRun) -> str:
    return " (a scripted model)" if run.language_model.is_scripted else ""
