"""The limits of what runs may cost: for the account and for each project."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from accounts.models import Role
from dashboard.forms.settings import BudgetForm
from dashboard.views.access import AccountRequest, account_page, may
from dashboard.views.asking import Question, ask
from metrics.models import CostBudget
from metrics.operations import remove_budget, set_budget
from metrics.querysets import budgets_of


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


def _budgets(request: AccountRequest, form: forms.Form) -> HttpResponse:
    context = {"uses": budgets_of(request.account.pk), "may_change": may(request, Role.ADMIN), "form": form}
    return render(request, "dashboard/settings/budgets.html", context, status=422 if form.errors else 200)
