"""The limits of what runs may cost: for the account and for each project."""

from dataclasses import dataclass
from datetime import timedelta

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role
from dashboard.forms.settings import AlertWebhookForm, BudgetForm
from dashboard.views.access import AccountRequest, account_page, may
from dashboard.views.asking import Question, ask
from metrics.alert_messages import subject_of
from metrics.alerts import remove_alert_webhook, set_alert_webhook
from metrics.models import AlertWebhook, BudgetAlert, CostBudget
from metrics.operations import remove_budget, set_budget
from metrics.querysets import budgets_of, recent_alerts, unpriced_models
from paid.lib.addresses import AddressRefused


@account_page()
def settings_budgets(request: AccountRequest) -> HttpResponse:
    return _budgets(request, BudgetForm(request.account))


@account_page("POST", role=Role.ADMIN)
def settings_budgets_set(request: AccountRequest) -> HttpResponse:
    form = BudgetForm(request.account, request.POST)
    if not form.is_valid():
        return _budgets(request, form)
    set_budget(account=request.account, actor=request.user, **form.cleaned_data)
    messages.success(request, "The budget is set. It holds for every run that starts from now on.")
    return redirect("settings_budgets", request.account.slug)


@account_page("GET", "POST", role=Role.ADMIN)
def settings_budgets_remove(request: AccountRequest, budget_id: int) -> HttpResponse:
    budget = get_object_or_404(CostBudget, account=request.account, pk=budget_id)
    if request.method == "POST":
        remove_budget(budget=budget, actor=request.user)
        messages.success(request, "The budget is removed.")
        return redirect("settings_budgets", request.account.slug)
    question = Question(
        title="Remove this budget?",
        text="Runs are no longer limited by it. What was spent stays in the books; you can set a new one.",
        button="Remove",
        back=reverse("settings_budgets", args=[request.account.slug]),
        action=request.path,
    )
    return ask(request, question)


@account_page("POST", role=Role.ADMIN)
def settings_budgets_webhook(request: AccountRequest) -> HttpResponse:
    form = AlertWebhookForm(request.POST)
    if form.is_valid():
        try:
            set_alert_webhook(account=request.account, actor=request.user, **form.cleaned_data)
        except AddressRefused as error:
            form.add_error("url", str(error))
    if form.errors:
        return _budgets(request, BudgetForm(request.account), form)
    messages.success(request, "Alerts are posted there from now on.")
    return redirect("settings_budgets", request.account.slug)


@account_page("POST", role=Role.ADMIN)
def settings_budgets_webhook_remove(request: AccountRequest) -> HttpResponse:
    remove_alert_webhook(account=request.account, actor=request.user)
    messages.success(request, "Alerts are no longer posted.")
    return redirect("settings_budgets", request.account.slug)


@dataclass(frozen=True)
class AlertRow:
    alert: BudgetAlert
    text: str


def alerts_of_today(account_id: int) -> list[AlertRow]:
    """The newest of the last 24 hours about budgets; a run that waits for money is shown by itself."""
    since = timezone.now() - timedelta(days=1)
    recent = [alert for alert in recent_alerts(account_id, limit=5) if alert.created_at > since and alert.cost_budget]
    return [AlertRow(alert, subject_of(alert)) for alert in recent[:3]]


def _budgets(request: AccountRequest, form: forms.Form, webhook_form: forms.Form | None = None) -> HttpResponse:
    account_id = request.account.pk
    context = {
        "uses": budgets_of(account_id),
        "may_change": may(request, Role.ADMIN),
        "form": form,
        "alerts": [AlertRow(alert, subject_of(alert)) for alert in recent_alerts(account_id)],
        "unpriced": unpriced_models(account_id),
        "webhook": AlertWebhook.objects.filter(account_id=account_id).first(),
        "webhook_form": webhook_form or AlertWebhookForm(),
    }
    has_errors = form.errors or (webhook_form is not None and webhook_form.errors)
    return render(request, "dashboard/settings/budgets.html", context, status=422 if has_errors else 200)
