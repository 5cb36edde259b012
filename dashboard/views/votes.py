"""What people think of a run."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts.models import Role
from dashboard.views.access import AccountRequest, account_page, get_run
from metrics.errors import NothingToVoteOn
from metrics.quality.operations import vote

VALUES = {"up": 1, "down": -1, "none": 0}


@account_page("POST", role=Role.MEMBER)
def run_vote(request: AccountRequest, run_id: int) -> HttpResponse:
    """`vote` is `up`, `down` or `none`; the last word counts."""
    run = get_run(request, run_id)
    value = VALUES.get(request.POST.get("vote", ""))
    if value is None:
        messages.error(request, "A vote is up, down, or taken back.")
    else:
        try:
            vote(run=run, user=request.user, value=value)
        except NothingToVoteOn as error:
            messages.info(request, str(error))
    return redirect(reverse("run", args=[request.account.slug, run_id]) + "#quality")
