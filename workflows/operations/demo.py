"""The demo: a real run over the sample project, its agent played by the scripted model."""

from django.db import transaction

from accounts.models import Account, User
from agent_runs.models import AgentRun, RunTrigger
from projects.sample import create_sample_project, sample_issue
from prompts.models import LanguageModel
from workflows.operations.runs import start_run


@transaction.atomic
def start_demo_run(*, account: Account, actor: User | None, model: LanguageModel | None = None) -> AgentRun:
    """Make the sample project if there is none, and start a run on its issue. Call inside of `tenant()`.

    Raises what `start_run` raises; RunAlreadyLive while the last demo still runs.
    """
    project = create_sample_project(account=account)
    issue = sample_issue(project=project)
    return start_run(project=project, issue=issue, actor=actor, trigger=RunTrigger.DEMO, model=model)
