"""What makes a run good: the weights of the score, and what other ones would change."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from accounts.models import Role
from dashboard.forms.quality import QualityWeightsForm
from dashboard.views.access import AccountRequest, account_page, may
from metrics.quality.operations import has_own_weights, set_weights, weights_of
from metrics.quality.preview import Preview, preview_weights


@account_page()
def settings_quality(request: AccountRequest) -> HttpResponse:
    return _weights(request, QualityWeightsForm(weights=weights_of(request.account.pk)))


@account_page("POST", role=Role.ADMIN)
def settings_quality_set(request: AccountRequest) -> HttpResponse:
    """By the pressed button: `preview` shows the effect, `reset` takes the host's weights, any other sets them."""
    wanted = request.POST.get("do", "")
    if wanted == "reset":
        set_weights(account=request.account, weights=None, actor=request.user)
        messages.success(request, "The host's weights count again, for every score from now on.")
        return redirect("settings_quality", request.account.slug)
    form = QualityWeightsForm(request.POST, weights=weights_of(request.account.pk))
    if not form.is_valid():
        return _weights(request, form)
    if wanted == "preview":
        return _weights(request, form, preview_weights(account_id=request.account.pk, weights=form.weights()))
    set_weights(account=request.account, weights=form.weights(), actor=request.user)
    messages.success(request, "The weights are set. They count for every score from now on.")
    return redirect("settings_quality", request.account.slug)


def _weights(request: AccountRequest, form: QualityWeightsForm, preview: Preview | None = None) -> HttpResponse:
    context = {
        "form": form,
        "preview": preview,
        "is_own": has_own_weights(request.account),
        "may_change": may(request, Role.ADMIN),
    }
    return render(request, "dashboard/settings/quality.html", context, status=422 if form.errors else 200)
