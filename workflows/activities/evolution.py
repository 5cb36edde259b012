"""The steps of a prompt's evolution. Each reads where the cycle stands from its row, so it may be done twice."""

from dataclasses import replace

from temporalio import activity
from temporalio.exceptions import ApplicationError

from agent_runs.errors import RunHasEnded
from agent_runs.models import AgentRun, RunTrigger
from metrics.errors import BudgetExhausted, EvolutionDecided, NoSuchProposal
from metrics.evolution.answer import read_answer
from metrics.evolution.operations import (
    candidates_of,
    follow_experiment,
    give_up,
    keep_answer,
    keep_consultation,
    open_evolution,
    propose,
    try_proposals,
)
from metrics.evolution.sample import failures_of, shown_runs, texts_of
from metrics.evolution.validation import Standard, judge, longest_for
from metrics.models import Candidate, Evolution, EvolutionStatus
from paid.lib.tenancy import tenant
from projects.consultations import consultations_of
from prompts.answers import AnswerUnreadable
from prompts.context import EvolutionContext, Untrusted
from prompts.errors import ExperimentRuns, NoModelAvailable, PromptError
from prompts.models import Prompt
from prompts.operations import PromptText
from prompts.rendering import nonce_of
from workflows.activities.attempts import beating
from workflows.activities.consulting import ConsultationRefused, ConsultationStopped, ask, call_of
from workflows.evolution_contracts import (
    CONSULT_MODEL,
    FOLLOW_EXPERIMENT,
    GIVE_UP_EVOLUTION,
    OPEN_EVOLUTION,
    PROPOSE,
    TRY_PROPOSALS,
    EvolutionInput,
    EvolutionRef,
    GivenUp,
    OpenedEvolution,
    StepEnd,
)
from workflows.operations.consultations import Question, end_question, open_question

EVOLVE_PROMPT = "meta.evolve_prompt"
CONSULT_SECONDS = 1_200
# Less than the workflow gives the activity, so that it can still say what happened.
ANSWER_SECONDS = 1_140
ENDS = StepEnd(goes_on=False)


@activity.defn(name=OPEN_EVOLUTION, no_thread_cancel_exception=True)
def open_evolution_activity(wanted: EvolutionInput) -> OpenedEvolution:
    """Looks whether the prompt is weak, and freezes what was seen."""
    with tenant(wanted.account_id):
        prompt = Prompt.objects.select_related("current_version").filter(pk=wanted.prompt_id).first()
        if prompt is None or prompt.account_id != wanted.account_id:
            return OpenedEvolution(reason="The prompt is gone.")
        opened = open_evolution(prompt=prompt, workflow_id=activity.info().workflow_id or "")
    if isinstance(opened, str):
        return OpenedEvolution(reason=opened)
    return OpenedEvolution(opened.pk, opened.needs_approval, opened.status == EvolutionStatus.TESTING)


@activity.defn(name=CONSULT_MODEL, no_thread_cancel_exception=True)
def consult_model(ref: EvolutionRef) -> StepEnd:
    """Asks once, and keeps the answer before anything else is done with it.

    An attempt that dies between the answer and its row asks again, for what the first one left of the escrow: the
    ledger has both calls, and together they stay within the cap.
    """
    with tenant(ref.account_id):
        evolution = _load(ref)
        if evolution is None or evolution.status != EvolutionStatus.ASKING:
            return ENDS if evolution is None or evolution.ended_at else StepEnd()
        try:
            run = evolution.consultation or _question(evolution)
        except (PromptError, NoModelAvailable, BudgetExhausted) as error:
            give_up(evolution=evolution, status=EvolutionStatus.FAILED, reason=str(error))
            return ENDS
    if not evolution.answer:
        try:
            with tenant(ref.account_id):
                call = call_of(run)
            with beating():
                answer = ask(call, account_id=ref.account_id, wanted_by=(run.pk,), seconds=ANSWER_SECONDS)
        except (ConsultationRefused, RunHasEnded) as error:
            with tenant(ref.account_id):
                is_stopped = isinstance(error, ConsultationStopped)
                end_question(run=run, error_code="consultation_refused", error=str(error), is_stopped=is_stopped)
                give_up(evolution=evolution, status=EvolutionStatus.FAILED, reason=str(error))
            return ENDS
        with tenant(ref.account_id):
            keep_answer(evolution=evolution, answer=answer)
    with tenant(ref.account_id):
        end_question(run=run)
    return StepEnd()


@activity.defn(name=PROPOSE, no_thread_cancel_exception=True)
def propose_prompts(ref: EvolutionRef) -> StepEnd:
    """Reads and judges the answer. A cycle of which nothing may be tried ends here."""
    with tenant(ref.account_id):
        evolution = _load(ref)
        if evolution is None or evolution.ended_at is not None:
            return ENDS
        if evolution.status != EvolutionStatus.ASKING:
            return StepEnd()
        try:
            answer = read_answer(evolution.answer)
        except AnswerUnreadable as error:
            give_up(evolution=evolution, status=EvolutionStatus.FAILED, reason=str(error))
            return ENDS
        proposals = answer.proposals[: evolution.proposals]
        verdicts = judge(proposals, _standard(evolution))
        candidates = [
            Candidate(
                template=_clean(proposal.template),
                system_prompt=_clean(proposal.system_prompt),
                reason=_clean(proposal.reason)[:1_000],
                refusals=refusals,
            )
            for proposal, refusals in zip(proposals, verdicts, strict=True)
        ]
        if propose(evolution=evolution, analysis=_clean(answer.analysis)[:4_000], candidates=candidates):
            return StepEnd()
        give_up(evolution=evolution, status=EvolutionStatus.FAILED, reason="None of the proposals may be tried.")
        return ENDS


@activity.defn(name=TRY_PROPOSALS, no_thread_cancel_exception=True)
def try_proposals_activity(ref: EvolutionRef) -> StepEnd:
    """Where no person is asked: everything that may be tried is."""
    with tenant(ref.account_id):
        evolution = _load(ref)
        if evolution is None or evolution.status != EvolutionStatus.PROPOSED:
            return StepEnd(goes_on=evolution is not None and evolution.status == EvolutionStatus.TESTING)
        chosen = [at for at, candidate in enumerate(candidates_of(evolution)) if not candidate.refusals]
        try:
            try_proposals(evolution=evolution, chosen=chosen, actor=None)
        except (ExperimentRuns, EvolutionDecided, NoSuchProposal) as error:
            give_up(evolution=evolution, status=EvolutionStatus.FAILED, reason=str(error))
            return ENDS
    return StepEnd()


@activity.defn(name=FOLLOW_EXPERIMENT, no_thread_cancel_exception=True)
def follow_experiment_activity(ref: EvolutionRef) -> StepEnd:
    with tenant(ref.account_id):
        evolution = _load(ref)
        return StepEnd(goes_on=evolution is not None and follow_experiment(evolution=evolution))


@activity.defn(name=GIVE_UP_EVOLUTION, no_thread_cancel_exception=True)
def give_up_evolution(given_up: GivenUp) -> StepEnd:
    ref = given_up.evolution
    with tenant(ref.account_id):
        evolution = _load(ref)
        if evolution is None:
            return ENDS
        status = EvolutionStatus.EXPIRED if given_up.has_expired else EvolutionStatus.FAILED
        give_up(evolution=evolution, status=status, reason=given_up.reason)
        if evolution.consultation is not None and not given_up.has_expired:
            end_question(run=evolution.consultation, error_code="consultation_failed", error=given_up.reason)
    return ENDS


def _load(ref: EvolutionRef) -> Evolution | None:
    rows = Evolution.objects.select_related("account", "prompt", "parent_version", "consultation__language_model")
    return rows.filter(pk=ref.evolution_id, account_id=ref.account_id).first()


def _question(evolution: Evolution) -> AgentRun:
    runs = shown_runs(evolution.sampled_run_ids, evolution.account_id)
    if not runs:
        raise PromptError("The runs that were sampled are gone.")
    parent = evolution.parent_version
    about = EvolutionContext(
        slug=evolution.prompt.slug,
        template=Untrusted(parent.template, "prompt template"),
        system_prompt=Untrusted(parent.system_prompt, "prompt's system prompt"),
        variables=tuple(parent.variables),
        proposals=str(evolution.proposals),
        score=f"{evolution.mean_score:.2f}",
        longest=f"{longest_for(PromptText(parent.template, parent.system_prompt)):,}",
        failures=failures_of(runs),
    )
    run = open_question(
        project=consultations_of(evolution.account),
        question=Question(
            title=f"Improve the prompt {evolution.prompt.slug} v{parent.version}",
            slug=EVOLVE_PROMPT,
            trigger=RunTrigger.EVOLUTION,
            cap_usd=evolution.spending_cap_usd,
            seconds=CONSULT_SECONDS,
        ),
        describe=lambda context: replace(context, evolution=about),
        workflow_id=activity.info().workflow_id or "",
    )
    keep_consultation(evolution=evolution, run=run)
    return run


def _standard(evolution: Evolution) -> Standard:
    parent = evolution.parent_version
    if evolution.consultation is None:
        raise ApplicationError("An answer without a question.", non_retryable=True)
    return Standard(
        parent=PromptText(parent.template, parent.system_prompt),
        variables=frozenset(parent.variables),
        nonce=nonce_of(evolution.consultation.prompt_text),
        sampled=texts_of(shown_runs(evolution.sampled_run_ids, evolution.account_id)),
    )


def _clean(text: str) -> str:
    """What PostgreSQL's text and JSON columns take."""
    return text.replace("\0", "\ufffd").replace("\r\n", "\n")
