"""Alerts about budgets: raised once by the database, then told by mail and webhook until they are told."""

import logging
from datetime import timedelta
from decimal import Decimal
from smtplib import SMTPException
from urllib.parse import urlsplit

import httpx
from django.db import connection, transaction
from django.db.models.functions import Now

from accounts.models import Account, Membership, Role, User
from accounts.operations import record_audit_event
from agent_runs.models import AgentRun
from metrics.alert_messages import PostRefused, post_alert, send_mail_of
from metrics.models import AlertWebhook, BudgetAlert
from paid.lib.addresses import AddressRefused, refuse_inner_address
from paid.lib.tenancy import platform

logger = logging.getLogger(__name__)

# Longer than a mail and a request together may take.
LEASE = timedelta(minutes=5)
MOST_ATTEMPTS = 12
_UNEXPECTED = "It could not be sent. Ask whoever runs this installation: the log says why."


def raise_alerts() -> int:
    """Write down every budget that has passed a threshold of its period; gives how many are new."""
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT budget_alerts_raise()")
        return int(cursor.fetchone()[0])


def alert_of_pause(*, run: AgentRun, limit_usd: Decimal) -> None:
    """Write down what is used up for a run that has just paused: its budgets, or else its own limit."""
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT budget_alert_of_pause(%s, %s)", [run.pk, limit_usd])


def claim_alerts(limit: int) -> list[int]:
    """Take alerts that are due to be told, for `LEASE`; nobody else takes them meanwhile."""
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT budget_alerts_claim(%s, make_interval(secs => %s))", [limit, LEASE.total_seconds()])
        return sorted(row[0] for row in cursor.fetchall())


def tell_alert(alert_id: int) -> bool:
    """Send what is not sent yet of one alert, each way noted at once; False when it stays due.

    A sender that dies between sending and noting sends again: mail keeps its Message-ID and the webhook its delivery
    id, by which the second one is known.
    """
    with platform():
        alert = BudgetAlert.objects.select_related("account", "cost_budget__project").filter(pk=alert_id).first()
        if alert is None:
            return True
        webhook = AlertWebhook.objects.filter(account_id=alert.account_id).first()
        recipients = _recipients(alert)
    try:
        if alert.mailed_at is None and recipients:
            send_mail_of(alert, recipients)
            _note(alert, mailed_at=Now())
        if alert.posted_at is None and webhook is not None:
            post_alert(alert, webhook)
            _note(alert, posted_at=Now())
    except Exception as error:  # whatever it is: the attempt counts, and the next alerts go out
        return _failed(alert, error)
    _note(alert, told_at=Now(), last_error="")
    return True


def _failed(alert: BudgetAlert, error: Exception) -> bool:
    """Later again, at most an hour later; given up, with its error kept, after `MOST_ATTEMPTS`."""
    detail = f"{type(error).__name__}: {error}"[:500]
    words = _words_of(error)
    logger.warning(
        "Alert %s was not told (attempt %s): %s",
        alert.pk,
        alert.attempts,
        detail,
        exc_info=error if words == _UNEXPECTED else None,
    )
    if alert.attempts >= MOST_ATTEMPTS:
        _note(alert, told_at=Now(), last_error=words)
        return True
    wait = min(timedelta(minutes=2**alert.attempts), timedelta(hours=1))
    _note(alert, due_at=Now() + wait, last_error=words)
    return False


def _words_of(error: Exception) -> str:
    """What the tenant reads: the same for each way not to answer, or it would tell what listens in this network."""
    match error:
        case AddressRefused() | PostRefused():
            return str(error)
        case httpx.HTTPError():
            return "The address did not answer."
        case OSError() | SMTPException():
            return "The mail server did not take the mail."
        case _:
            return _UNEXPECTED


def _note(alert: BudgetAlert, **values: object) -> None:
    with platform():
        BudgetAlert.objects.filter(pk=alert.pk).update(**values)


def _recipients(alert: BudgetAlert) -> list[str]:
    """Who may change the budget, and who pays."""
    people = Membership.objects.filter(
        account_id=alert.account_id, role__in=(Role.ADMIN, Role.OWNER), user__is_active=True
    )
    addresses = [*people.order_by("pk").values_list("user__email", flat=True), alert.account.billing_email]
    return list(dict.fromkeys(address for address in addresses if address))


@transaction.atomic
def set_alert_webhook(*, account: Account, url: str, secret: str, actor: User) -> AlertWebhook:
    """Post the account's alerts there from now on, signed with `secret`. Raises AddressRefused."""
    refuse_inner_address(url, unless_in="ALERT_WEBHOOK_HOSTS")
    webhook, _ = AlertWebhook.objects.update_or_create(account=account, defaults={"url": url, "secret": secret})
    _audit_webhook(account, "alert_webhook.set", actor, url)
    return webhook


@transaction.atomic
def remove_alert_webhook(*, account: Account, actor: User) -> None:
    """A second call changes nothing and records nothing."""
    deleted, _ = AlertWebhook.objects.filter(account=account).delete()
    if deleted:
        _audit_webhook(account, "alert_webhook.removed", actor, "")


def _audit_webhook(account: Account, action: str, actor: User, url: str) -> None:
    record_audit_event(
        account_id=account.pk,
        actor=actor,
        action=action,
        object_type="alert_webhook",
        object_id=account.pk,
        # The path and the query of such an address are often a secret themselves.
        data={"host": urlsplit(url).hostname or ""},
    )
