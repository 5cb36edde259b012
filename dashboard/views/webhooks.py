"""Where GitHub delivers. No session, no CSRF token: the signature is the proof."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from projects.webhooks import MAX_DELIVERY_BYTES, DeliveryTooLarge, WebhookRefused, receive


@csrf_exempt
@require_POST
def github_webhook(request: HttpRequest, project_id: int) -> HttpResponse:
    """202 as soon as the delivery is kept: GitHub waits ten seconds at most, and digestion asks GitHub itself."""
    try:
        # Before the body is read into memory.
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_DELIVERY_BYTES:
            raise DeliveryTooLarge
        receipt = receive(project_id=project_id, headers=request.headers, body=request.body)
    except WebhookRefused as refusal:
        return JsonResponse({"message": str(refusal)}, status=refusal.status)
    return JsonResponse({"receipt": receipt.value}, status=202)
