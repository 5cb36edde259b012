"""Experiments: the list, and one with everything that it shows so far."""

from django.http import HttpResponse
from django.shortcuts import render

from accounts.history import history_of
from accounts.models import Role
from dashboard.experiment_page import figures_of, list_rows, told
from dashboard.views.access import AccountRequest, account_page, get_experiment, may
from metrics.analytics.quality import rolling_by_variant
from metrics.models import ExperimentReading
from prompts.experiments.querysets import experiments_of, variants_of
from prompts.models import AbTestStatus

PAGE_SIZE = 50
ROLLING_POINTS = 200


@account_page()
def experiments(request: AccountRequest) -> HttpResponse:
    """The newest first. `status` and `prompt` narrow the list, `before` is the id after which it goes on."""
    status, prompt_id, before = (request.GET.get(name, "") for name in ("status", "prompt", "before"))
    tests = experiments_of(request.account.pk)
    if status in AbTestStatus.values:
        tests = tests.filter(status=status)
    if is_id(prompt_id):
        tests = tests.filter(prompt_id=int(prompt_id))
    if is_id(before):
        tests = tests.filter(pk__lt=int(before))
    found = list(tests[: PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE]
    readings = ExperimentReading.objects.filter(account=request.account, ab_test__in=shown)
    context = {
        "rows": list_rows(shown, {reading.ab_test_id: reading for reading in readings}),
        "next_before": shown[-1].pk if len(found) > PAGE_SIZE else None,
        "status": status,
        "statuses": AbTestStatus.choices,
        "prompt_id": prompt_id if is_id(prompt_id) else "",
        "is_filtered": bool(status or prompt_id or before),
        "may_create": may(request, Role.MEMBER),
    }
    return render(request, "dashboard/experiments/list.html", context)


@account_page()
def experiment(request: AccountRequest, experiment_id: int) -> HttpResponse:
    test = get_experiment(request, experiment_id)
    variants = list(variants_of(test))
    kept = (
        ExperimentReading.objects.select_related("proposed_variant")
        .filter(ab_test=test, account=request.account)
        .first()
    )
    events = history_of(account_id=test.account_id, object_type="experiment", object_id=test.pk, since=test.created_at)
    context = {
        "test": test,
        "figures": figures_of(test, variants, kept),
        "kept": kept,
        "rolling": rolling_by_variant(test.account_id, test.pk, points=ROLLING_POINTS),
        "names": {variant.pk: variant.name for variant in variants},
        "history": [told(event) for event in events],
        "may_create": may(request, Role.MEMBER),
        "may_decide": may(request, Role.ADMIN),
    }
    return render(request, "dashboard/experiments/page.html", context)


def is_id(text: str) -> bool:
    """Whether it can be a row's key: digits that PostgreSQL can hold."""
    return text.isascii() and text.isdecimal() and len(text) < 20 and int(text) < 2**63
