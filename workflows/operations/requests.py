"""Runs that programs start: once, however often the program has to ask."""

from django.db import connection, transaction

from agent_runs.models import AgentRun, RunTrigger
from paid.lib.sql import statement
from projects.models import Issue, Project
from workflows.errors import KeyIsTaken
from workflows.models import RunRequest
from workflows.operations.runs import start_run


@transaction.atomic
def start_run_once(*, project: Project, issue: Issue, actor_name: str, key: str, digest: bytes) -> AgentRun:
    """The run that was started under this key of the account, or a new one.

    `digest` is of everything that was asked for. Raises KeyIsTaken when it was another one under the same key, and
    what `start_run` raises; then nothing has changed, and the key is free.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            statement("workflows", "run_requests_queries", "lock_key"), {"account": project.account_id, "key": key}
        )
    former = RunRequest.objects.filter(account_id=project.account_id, key=key).select_related("agent_run").first()
    if former is not None:
        if bytes(former.digest) != digest:
            raise KeyIsTaken
        return former.agent_run
    run = start_run(project=project, issue=issue, actor=None, trigger=RunTrigger.API, actor_name=actor_name)
    RunRequest.objects.create(account_id=run.account_id, key=key, digest=digest, agent_run=run)
    return run
