"""Runs and what they leave behind."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import factory
from django.utils import timezone

from agent_runs.models import (
    AgentRun,
    AgentRunLog,
    LogBacklog,
    LogChunk,
    LogKind,
    ModelQuestion,
    ModelSelection,
    RunDiff,
    RunStatus,
    RunStep,
    RunTrigger,
    SelectedBy,
    StepName,
    StepStatus,
)
from tests.factories.base import PlatformFactory
from tests.factories.projects import IssueFactory, ProjectFactory
from tests.factories.prompts import LanguageModelFactory, PromptFactory, PromptVersionFactory


class AgentRunFactory(PlatformFactory):
    """A queued run of a new issue; `finished_run()` gives one that has ended."""

    class Meta:
        model = AgentRun

    project = factory.SubFactory(ProjectFactory)
    account = factory.SelfAttribute("project.account")
    issue = factory.SubFactory(IssueFactory, project=factory.SelfAttribute("..project"))
    prompt_version = factory.SubFactory(
        PromptVersionFactory,
        prompt=factory.SubFactory(PromptFactory, account=factory.SelfAttribute("...account")),
    )
    version_account_id = factory.SelfAttribute("prompt_version.account_id")
    language_model = factory.SubFactory(LanguageModelFactory, account=factory.SelfAttribute("..account"))
    model_account_id = factory.SelfAttribute("language_model.account_id")
    trigger = RunTrigger.PERSON
    agent = "claude_code"
    prompt_text = "Solve the issue."


class OfRun(PlatformFactory):
    """A row of a run belongs to the run's account."""

    class Meta:
        abstract = True

    agent_run = factory.SubFactory(AgentRunFactory)
    account_id = factory.SelfAttribute("agent_run.account_id")


class RunStepFactory(OfRun):
    class Meta:
        model = RunStep

    name = StepName.QUEUE
    status = StepStatus.RUNNING
    started_at = factory.LazyFunction(timezone.now)


class RunDiffFactory(OfRun):
    class Meta:
        model = RunDiff

    patch = "--- a/slug.py\n+++ b/slug.py\n"
    files_changed = 1
    lines_added = 2
    lines_removed = 1


class ModelSelectionFactory(OfRun):
    class Meta:
        model = ModelSelection

    language_model = factory.SelfAttribute("agent_run.language_model")
    model_account_id = factory.SelfAttribute("language_model.account_id")
    selected_by = SelectedBy.RULES
    reason = "The only model there is."


class ModelQuestionFactory(OfRun):
    class Meta:
        model = ModelQuestion

    cap_usd = Decimal("0.10")


class AgentRunLogFactory(PlatformFactory):
    """Give it `run`; without one it makes a new run."""

    class Meta:
        model = AgentRunLog

    class Params:
        run = factory.SubFactory(AgentRunFactory)

    account_id = factory.SelfAttribute("run.account_id")
    agent_run_id = factory.SelfAttribute("run.pk")
    run_created_at = factory.SelfAttribute("run.created_at")
    seq = factory.Sequence(lambda n: n + 1)
    kind = LogKind.STDOUT
    content = "Reading the issue."


class OfLog(PlatformFactory):
    """Rows that the log's trigger and its indexer write themselves. Give it `run`; without one it makes a new run."""

    class Meta:
        abstract = True

    class Params:
        run = factory.SubFactory(AgentRunFactory)

    account_id = factory.SelfAttribute("run.account_id")
    project_id = factory.SelfAttribute("run.project_id")
    agent_run_id = factory.SelfAttribute("run.pk")
    run_created_at = factory.SelfAttribute("run.created_at")
    first_seq = 1
    last_seq = 1


class LogBacklogFactory(OfLog):
    class Meta:
        model = LogBacklog


class LogChunkFactory(OfLog):
    class Meta:
        model = LogChunk

    words = "reading"


def finished_run(*, status: RunStatus = RunStatus.COMPLETED, **run: Any) -> AgentRun:
    """A run that ended a moment after it started."""
    started_at = timezone.now()
    ended = {"started_at": started_at, "finished_at": started_at + timedelta(seconds=40)}
    made: AgentRun = AgentRunFactory(status=status, **{**ended, **run})
    return made
