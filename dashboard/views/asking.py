"""Pages that ask before something is done: a page of its own without JavaScript, a dialog with it."""

from dataclasses import dataclass

from django import forms
from django.http import HttpResponse
from django.shortcuts import render

from dashboard.views.access import AccountRequest


@dataclass(frozen=True)
class Question:
    title: str
    text: str
    button: str
    back: str
    action: str
    is_destructive: bool = True


def ask(request: AccountRequest, question: Question, form: forms.Form | None = None) -> HttpResponse:
    template = "dashboard/parts/confirm.html" if request.htmx else "dashboard/confirm.html"
    return render(request, template, {"ask": question, "form": form})


@dataclass(frozen=True)
class FormPage:
    """The words around a form that has a page of its own."""

    title: str
    button: str
    back: str
    back_label: str
    text: str = ""


def form_page(request: AccountRequest, page: FormPage, form: forms.Form) -> HttpResponse:
    """The form, with 422 when it came back with errors."""
    status = 422 if form.is_bound and form.errors else 200
    return render(request, "dashboard/form_page.html", {"page": page, "form": form}, status=status)
