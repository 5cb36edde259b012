"""`choose_model`: the meta-agent is asked, and its answer followed or set aside, before a run begins."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from agent_runs.errors import RunHasEnded
from agent_runs.models import AgentRun, ModelQuestion, StepName
from agent_runs.operations import explain_step
from metrics.errors import BudgetExhausted
from paid.lib.tenancy import tenant
from prompts.errors import NoModelAvailable, PromptError
from workflows.activities.attempts import beating
from workflows.activities.consulting import ConsultationRefused, ConsultationStopped, ask, call_of
from workflows.activities.runs import record_workflow
from workflows.contracts import CHOICE_ATTEMPTS, CHOOSE_MODEL, RunRef
from workflows.operations.model_choice import (
    ANSWER_SECONDS,
    LONGEST_ANSWER_TOKENS,
    follow_choice,
    open_choice,
    open_question_of,
    set_choice_aside,
)

ASKS = "A model is asked which model suits this issue."


@activity.defn(name=CHOOSE_MODEL, no_thread_cancel_exception=True)
def choose_model(ref: RunRef) -> None:
    """Whatever happens, the run has a model: the last attempt sets the question aside with what went wrong.

    An attempt that dies between the answer and its row asks again, for what the first one left of the question's
    escrow: the ledger has both calls, and together they stay within the cap.
    """
    record_workflow(ref)
    with tenant(ref.account_id):
        question = open_question_of(ref.run_id)
        if question is None or question.agent_run.stop_requested_at is not None:
            return
        explain_step(run=question.agent_run, name=StepName.QUEUE, detail=ASKS)
        consultation = question.consultation or _opened(question)
    if consultation is None:
        return
    try:
        answer = _answer(question, consultation)
    except (ConsultationRefused, RunHasEnded) as error:
        with tenant(ref.account_id):
            set_choice_aside(question=question, why=str(error), is_stopped=isinstance(error, ConsultationStopped))
    except ApplicationError as error:
        if error.type == "WorkerLeaves" or activity.info().attempt < CHOICE_ATTEMPTS:
            raise
        with tenant(ref.account_id):
            set_choice_aside(question=question, why=error.message)
    else:
        with tenant(ref.account_id):
            follow_choice(question=question, answer=answer)


def _opened(question: ModelQuestion) -> AgentRun | None:
    try:
        return open_choice(question=question, workflow_id=activity.info().workflow_id or "")
    except (PromptError, NoModelAvailable, BudgetExhausted) as error:
        set_choice_aside(question=question, why=str(error))
        return None


def _answer(question: ModelQuestion, consultation: AgentRun) -> str:
    with tenant(question.account_id):
        call = call_of(consultation, longest_answer=LONGEST_ANSWER_TOKENS)
    with beating():
        return ask(
            call,
            account_id=question.account_id,
            wanted_by=(question.agent_run_id, consultation.pk),
            seconds=ANSWER_SECONDS,
        )
