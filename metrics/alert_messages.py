"""What an alert says: as a mail, and as a signed request to the account's webhook."""

import hashlib
import hmac
import json
import time
from urllib.parse import urlsplit

import httpx
from django.conf import settings
from django.core.mail import EmailMessage

from metrics.models import AlertWebhook, BudgetAlert
from paid.lib.addresses import refuse_inner_address
from paid.lib.tenant_http import TenantTransport

TIMEOUT = httpx.Timeout(10)
_PERIODS = {"run": "per run", "day": "for the day", "month": "for the month"}


class PostRefused(Exception):
    """The webhook did not take the alert."""


def subject_of(alert: BudgetAlert) -> str:
    """One line: what is used up how far."""
    if alert.cost_budget is None:
        return f"Run {alert.agent_run_id} waits for money: its limit of {alert.limit_usd:.2f} USD is used up"
    what = f"{alert.limit_usd:.2f} USD {_PERIODS[alert.cost_budget.period]}"
    whose = alert.cost_budget.project.name if alert.cost_budget.project else alert.account.name
    if alert.threshold >= 1:
        return f"{whose}: the budget of {what} is used up or held"
    return f"{whose}: {alert.threshold * 100:.0f} % of the budget of {what} are spent"


def address_of(alert: BudgetAlert) -> str:
    """Where a person decides: the run that waits, or the budgets."""
    page = f"runs/{alert.agent_run_id}/" if alert.agent_run_id else "settings/budgets/"
    return f"{settings.PUBLIC_URL}/a/{alert.account.slug}/{page}"


def send_mail_of(alert: BudgetAlert, recipients: list[str]) -> None:
    """Raises OSError or SMTPException when the mail server does not take it."""
    is_hard = alert.cost_budget is None or alert.cost_budget.is_hard
    effect = "Runs that need more than is left wait for a decision." if is_hard else "Runs go on: it only warns."
    body = (
        f"{subject_of(alert)}.\n\nSpent: {alert.spent_usd:.4f} USD since {alert.period_starts_on} (UTC). {effect}\n\n"
        f"{address_of(alert)}\n"
    )
    host = urlsplit(settings.PUBLIC_URL).hostname
    # The same each time it is sent, so that a mailbox shows one.
    headers = {"Message-ID": f"<budget-alert-{alert.pk}@{host}>"}
    EmailMessage(subject=f"[Paid] {subject_of(alert)}", body=body, to=recipients, headers=headers).send()


def post_alert(alert: BudgetAlert, webhook: AlertWebhook) -> None:
    """Raises AddressRefused, httpx.HTTPError, or PostRefused for any answer but a 2xx; redirects are not followed."""
    refuse_inner_address(webhook.url, unless_in="ALERT_WEBHOOK_HOSTS")
    body = payload_of(alert)
    headers = {
        "content-type": "application/json",
        "user-agent": "paid-alerts",
        "x-paid-event": "budget.alert",
        "x-paid-delivery": f"budget-alert-{alert.pk}",
        "x-paid-signature": sign(body, webhook.secret.reveal(), int(time.time())),
    }
    transport = TenantTransport(unless_in="ALERT_WEBHOOK_HOSTS")
    with (
        httpx.Client(transport=transport, timeout=TIMEOUT, follow_redirects=False, trust_env=False) as client,
        # The answer's body is left unread: the receiver may send without end.
        client.stream("POST", webhook.url, content=body, headers=headers) as answer,
    ):
        if not answer.is_success:
            raise PostRefused(f"It answered {answer.status_code}.")


def payload_of(alert: BudgetAlert) -> bytes:
    """Money as text: JSON numbers would round."""
    budget = alert.cost_budget
    content = {
        "id": f"budget-alert-{alert.pk}",
        "text": subject_of(alert),
        "account": alert.account.slug,
        "project_id": budget.project_id if budget else None,
        "run_id": alert.agent_run_id,
        "period": budget.period if budget else "run",
        "period_starts_on": alert.period_starts_on.isoformat(),
        "threshold": str(alert.threshold),
        "limit_usd": str(alert.limit_usd),
        "spent_usd": str(alert.spent_usd),
        "url": address_of(alert),
    }
    return json.dumps(content).encode()


def sign(body: bytes, secret: str, at: int) -> str:
    """`t=<unix time>,v1=<hex>`: HMAC-SHA256 with the secret over `<time>.<body>`, so that a replay shows its age."""
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"
