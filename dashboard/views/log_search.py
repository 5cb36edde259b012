"""Full text of the logs: of all runs of the account, or of one."""

from django.http import HttpResponse
from django.shortcuts import render

from agent_runs.log_search import LogHits, LogPosition, LogQuestion, UnsearchableWords, search_log
from agent_runs.models import AgentRun
from dashboard.forms.logs import LogSearchForm
from dashboard.log_hits import by_run
from dashboard.views.access import AccountRequest, account_page, get_run

PAGE_ROWS = 50


@account_page()
def runs_log_search(request: AccountRequest) -> HttpResponse:
    run = _run(request)
    form = LogSearchForm(request.account, request.GET, run)
    question = form.question()
    hits, problem = _hits(question, LogPosition.parse(request.GET.get("before", "")))
    context = {
        "form": form,
        "run": run,
        "question": question,
        "bounds": question.bounds(),
        "problem": problem,
        "hits": hits,
        "runs": by_run(hits.rows, question.words) if hits else [],
    }
    # A boosted or restored page asks for the whole of it.
    is_fragment = request.htmx and not request.htmx.history_restore_request
    return render(request, "dashboard/logs/rows.html" if is_fragment else "dashboard/logs/search.html", context)


def _run(request: AccountRequest) -> AgentRun | None:
    """The run that the search keeps to. One that is not there is 404; what is no number narrows nothing."""
    run_id = request.GET.get("run", "")
    return get_run(request, int(run_id)) if run_id.isdecimal() and len(run_id) <= 18 else None


def _hits(question: LogQuestion, before: LogPosition | None) -> tuple[LogHits | None, str]:
    if not question.words:
        return None, ""
    try:
        return search_log(question, before=before, size=PAGE_ROWS), ""
    except UnsearchableWords as error:
        return None, str(error)
