"""A project whose runs ask a model which model they shall have, and two scripted ones to choose between."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from accounts.models import Account, User
from agent_runs.models import AgentRun, ModelQuestion, ModelSelection
from paid.lib.tenancy import platform, tenant
from projects.models import Issue, Project
from prompts.files import seed_files
from prompts.models import LanguageModel
from prompts.seeding import seed_prompt
from tests.factories import account_with_owner
from tests.factories.projects import IssueFactory, ProjectFactory
from tests.factories.prompts import LanguageModelFactory, ModelPriceFactory
from workflows.operations import start_run
from workflows.operations.model_choice import CHOICE_PROMPT
from workflows.operations.runs import CODING_PROMPT

CAP = "0.10"
SMALL, LARGE = "scripted/small", "scripted/large"


@dataclass(frozen=True)
class Choosing:
    account: Account
    owner: User
    project: Project
    issue: Issue
    small: LanguageModel
    large: LanguageModel


def make_choosing(*, body: str = "Slugs have holes.", is_on: bool = True) -> Choosing:
    """The small model is the rules' choice."""
    with platform():
        for file in seed_files():
            if file.slug in (CODING_PROMPT, CHOICE_PROMPT):
                seed_prompt(file)
    account, owner = account_with_owner()
    settings = {"is_demo": True, "meta_agent": {"is_on": is_on, "cap_usd": CAP}, "limits": {"cost_usd": "1.5"}}
    project = ProjectFactory(account=account, settings=settings)
    issue = IssueFactory(project=project, number=42, title="Mend the slugs", body=body)
    return Choosing(account, owner, project, issue, _model(account, "small", 1, 5), _model(account, "large", 3, 25))


def _model(account: Account, model_id: str, usd_in: int, usd_out: int) -> LanguageModel:
    made: LanguageModel = LanguageModelFactory(account=account, model_id=model_id, agents=["claude_code"])
    ModelPriceFactory(language_model=made, token_class="input", usd_per_million=Decimal(usd_in))
    ModelPriceFactory(language_model=made, token_class="output", usd_per_million=Decimal(usd_out))
    return made


def start(choosing: Choosing, **options: Any) -> AgentRun:
    with tenant(choosing.account.pk):
        issue = Issue.objects.select_related("project__account").get(pk=choosing.issue.pk)
        return start_run(project=issue.project, issue=issue, actor=choosing.owner, **options)


def question_of(run: AgentRun) -> ModelQuestion:
    with platform():
        rows = ModelQuestion.objects.select_related(
            "consultation__language_model", "agent_run__account", "agent_run__project", "agent_run__issue"
        )
        return rows.get(agent_run=run)


def selection_of(run: AgentRun) -> ModelSelection:
    with platform():
        return ModelSelection.objects.select_related("language_model").get(agent_run=run)
