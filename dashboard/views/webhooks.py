"""Where GitHub delivers, and where an admin reads what to type into GitHub for it."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts.models import Role
from dashboard.views.access import AccountRequest, account_page
from projects.connections import renew_webhook_secret
from projects.models import ForgeKind, Project
from projects.webhooks import MAX_DELIVERY_BYTES, DeliveryTooLarge, WebhookRefused, receive


@csrf_exempt
@require_POST
def github_webhook(request: HttpRequest, project_id: int) -> HttpResponse:
    """202 as soon as the delivery is kept: GitHub waits ten seconds at most, and digestion asks GitHub itself.

    No session and no CSRF token: the signature is the proof.
    """
    try:
        # Before the body is read into memory.
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_DELIVERY_BYTES:
            raise DeliveryTooLarge
        receipt = receive(project_id=project_id, headers=request.headers, body=request.body)
    except WebhookRefused as refusal:
        return JsonResponse({"message": str(refusal)}, status=refusal.status)
    return JsonResponse({"receipt": receipt.value}, status=202)


@account_page("POST", role=Role.ADMIN)
def settings_github_webhook(request: AccountRequest, project_id: int) -> HttpResponse:
    """Make a new secret and show it, this once."""
    project = get_object_or_404(Project, account=request.account, pk=project_id, forge=ForgeKind.GITHUB)
    secret = renew_webhook_secret(project=project, actor=request.user)
    context = {
        "project": project,
        "secret": secret,
        "address": settings.PUBLIC_URL + reverse("github_webhook", args=[project.pk]),
        "new_hook": f"{settings.GITHUB_URL}/{project}/settings/hooks/new",
    }
    response = render(request, "dashboard/settings/webhook.html", context)
    response["Cache-Control"] = "no-store"
    return response
