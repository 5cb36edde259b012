"""The meta-agent: a model is asked which of those that the rules allow shall work on a run. The rules' choice stands
until its answer was found good, so a run is never without a model.
"""

from dataclasses import asdict
from decimal import Decimal

from django.db import transaction

from agent_runs.models import AgentRun, ModelQuestion, ModelQuestionStatus, ModelSelection, RunTrigger, SelectedBy
from agent_runs.notes import note
from agent_runs.operations import (
    change_model,
    close_model_question,
    explain_model_selection,
    keep_consultation,
    lock_issue,
    replace_model_selection,
    set_identity,
)
from projects.consultations import consultations_of
from projects.models import Project
from projects.settings_shape import ProjectSettings
from prompts.answers import AnswerUnreadable, ModelChoice, read_json
from prompts.context import ModelContext, context_for
from prompts.errors import NoModelAvailable
from prompts.models import LanguageModel
from prompts.selection import Selection, select_model
from workflows.operations.consultations import Question, end_question, open_question
from workflows.operations.fingerprint import fingerprint
from workflows.operations.offers import budget_of, offers_for

CHOICE_PROMPT = "meta.select_model"
# One attempt of asking. A choice between a handful of names needs no longer.
ANSWER_SECONDS = 60
# An object with a name and a sentence.
LONGEST_ANSWER_TOKENS = 1_024
FEWEST_OFFERS = 2


class ChoiceRefused(Exception):
    """What the meta-agent answered cannot be followed."""


def price_of_asking(project: Project, rules: Selection) -> Decimal | None:
    """The most that asking may cost, or None where nobody is asked: the project does not want it, a person has
    chosen, or there is nothing to choose between.
    """
    wanted = ProjectSettings.model_validate(project.settings).meta_agent
    offered = sum(candidate.is_usable for candidate in rules.candidates)
    return wanted.cap_usd if wanted.is_on and rules.selected_by == "rules" and offered >= FEWEST_OFFERS else None


@transaction.atomic
def open_choice(*, question: ModelQuestion, workflow_id: str) -> AgentRun | None:
    """The run that asks, with what the rules allow now kept on the selection. Call it inside of `tenant()`.

    None when the question was closed meanwhile; what another attempt has opened is given as it stands: a question is
    paid once. It goes to a model that this project's preferences allow for it, and its issue to no other provider.
    Raises PromptError, NoModelAvailable or BudgetExhausted; then nothing has changed.
    """
    run = _lock(question.agent_run)
    standing = open_question_of(run.pk)
    if standing is None:
        return None
    if standing.consultation is not None:
        return standing.consultation
    offers = offers_for(run=run, rules=_rules(run))
    usable = [offer for offer in offers if offer.is_usable]
    if len(usable) < FEWEST_OFFERS:
        raise NoModelAvailable("Only one model can be used by now.")
    models = [ModelContext(offer.name, offer.price, offer.history, offer.note) for offer in usable]
    consultation = open_question(
        project=consultations_of(run.account),
        question=Question(
            title=f"Choose the model of run {run.pk}",
            slug=CHOICE_PROMPT,
            trigger=RunTrigger.MODEL_CHOICE,
            cap_usd=question.cap_usd,
            seconds=ANSWER_SECONDS,
            asked_for=run.project,
        ),
        describe=lambda _: context_for(project=run.project, issue=run.issue, models=models, budget=budget_of(run)),
        workflow_id=workflow_id,
    )
    keep_consultation(question=question, consultation=consultation, candidates=[asdict(offer) for offer in offers])
    return consultation


@transaction.atomic
def follow_choice(*, question: ModelQuestion, answer: str) -> bool:
    """Give the run the model that the answer names, if the rules allow it still and the run has not begun.

    Otherwise the rules' choice stays, its reason says why, and this gives False.
    """
    run = _lock(question.agent_run)
    standing = open_question_of(run.pk)
    if standing is None:
        return False
    question = standing
    try:
        model, reason = _chosen(run, answer)
    except (AnswerUnreadable, ChoiceRefused, NoModelAvailable) as error:
        set_choice_aside(question=question, why=str(error))
        return False
    if question.consultation is None or not change_model(run=run, language_model=model):
        set_choice_aside(question=question, why="The run had begun, or was stopped, before the answer came.")
        return False
    words = f"The meta-agent ({question.consultation.language_model}) chose it: “{reason}”."
    close_model_question(question=question, status=ModelQuestionStatus.FOLLOWED)
    set_identity(run=run, fingerprint=fingerprint(run), workflow_id=run.workflow_id)
    replace_model_selection(run=run, language_model=model, selected_by=SelectedBy.META_AGENT, reason=words)
    note(run=run, text=f"{model} works on this. {words}")
    end_question(run=question.consultation)
    return True


@transaction.atomic
def set_choice_aside(*, question: ModelQuestion, why: str, is_stopped: bool = False) -> None:
    """The rules' choice stays, and says why. Once the question is closed this changes nothing."""
    run = _lock(question.agent_run)
    # As it stands under the lock: another attempt may have opened it since it was read, and its run has to end.
    standing = open_question_of(run.pk)
    if standing is None:
        return
    question = standing
    close_model_question(question=question, status=ModelQuestionStatus.SET_ASIDE)
    was = "could not be asked" if question.consultation is None else "was asked, and not followed"
    words = f"The meta-agent {was}: {why}"
    explain_model_selection(run=run, reason=f"{ModelSelection.objects.get(agent_run=run).reason} {words}")
    if run.finished_at is None:
        note(run=run, text=words)
    if question.consultation is not None:
        end_question(run=question.consultation, error_code="choice_set_aside", error=why, is_stopped=is_stopped)


@transaction.atomic
def close_choice(*, run: AgentRun, why: str, is_stopped: bool = False) -> None:
    """From here on no answer is waited for."""
    question = open_question_of(run.pk)
    if question is not None:
        set_choice_aside(question=question, why=why, is_stopped=is_stopped)


def open_question_of(run_id: int) -> ModelQuestion | None:
    """The meta-agent's question about the run, unless there is none or it is closed."""
    questions = ModelQuestion.objects.select_related(
        "agent_run__account", "agent_run__project", "agent_run__issue", "agent_run__prompt_version__prompt",
        "consultation__language_model", "consultation__issue",
    )  # fmt: skip
    return questions.filter(agent_run_id=run_id, status=ModelQuestionStatus.ASKING).first()


def _lock(run: AgentRun) -> AgentRun:
    """Whoever decides about a choice holds its issue and its run first."""
    lock_issue(run)
    locked = AgentRun.objects.select_for_update(of=("self",), no_key=True).select_related(
        "account", "project", "issue", "prompt_version__prompt"
    )
    return locked.get(pk=run.pk)


def _rules(run: AgentRun) -> Selection:
    category = run.prompt_version.prompt.category
    return select_model(account=run.account, project=run.project, category=category, agent=run.agent)


def _chosen(run: AgentRun, answer: str) -> tuple[LanguageModel, str]:
    choice = read_json(ModelChoice, answer)
    for offer in offers_for(run=run, rules=_rules(run)):
        if offer.is_usable and offer.name == choice.model:
            return LanguageModel.objects.get(pk=offer.language_model_id), choice.reason_in_a_line
    raise ChoiceRefused("It named no model that the rules allow.")
