"""Alerts: once per budget, period and threshold, told by mail and by a signed request, whatever dies meanwhile."""

import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from django.core import mail
from django.core.mail import BadHeaderError
from django.db import connection

from accounts.models import Account, Role, User
from agent_runs.models import AgentRun, RunStatus
from metrics.alerts import claim_alerts, raise_alerts, remove_alert_webhook, set_alert_webhook, tell_alert
from metrics.models import AlertWebhook, BudgetAlert, BudgetPeriod, CostBudget
from metrics.operations import close_escrow, open_escrow, post_unposted
from metrics.tasks import return_escrows, tell_budget_alerts
from paid.lib.addresses import AddressRefused
from paid.lib.tenancy import platform, tenant
from tests.factories.accounts import MembershipFactory, UserFactory
from tests.metrics.records import Tenant, make_budget, make_run, make_tenant
from tests.metrics.test_escrow import escrow_of, spend

SECRET = "a-secret-of-the-receiver"


@dataclass
class Receiver:
    """The account's own server: keeps what it gets, and answers with `status`."""

    url: str = ""
    status: int = 204
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(kept.status)
            self.send_header("location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kept.url = f"http://127.0.0.1:{server.server_port}/hook"
    settings.ALERT_WEBHOOK_HOSTS = [f"127.0.0.1:{server.server_port}"]
    yield kept
    server.shutdown()
    server.server_close()


@pytest.fixture
def owner(db: None) -> Tenant:
    return make_tenant()


@pytest.fixture
def admin(owner: Tenant) -> User:
    user: User = UserFactory(email="admin@example.com")
    MembershipFactory(account=owner.account, user=user, role=Role.ADMIN)
    MembershipFactory(account=owner.account, user=UserFactory(email="member@example.com"), role=Role.MEMBER)
    return user


def alerts() -> list[tuple[int | None, Decimal]]:
    with platform():
        return list(BudgetAlert.objects.order_by("pk").values_list("cost_budget_id", "threshold"))


def the_alert() -> BudgetAlert:
    with platform():
        return BudgetAlert.objects.get()


def spend_usd(owner: Tenant, usd: str) -> AgentRun:
    run = make_run(owner)
    open_escrow(run=run)
    # In small calls: what one may cost at most is held first, and is more than it will cost.
    tokens = int(Decimal(usd) / 3 * 1_000_000)
    for done in range(0, tokens, 30_000):
        spend(run, min(30_000, tokens - done))
    return run


def spend_and_end(owner: Tenant, usd: str) -> None:
    close_escrow(run=spend_usd(owner, usd))


def test_each_threshold_is_raised_once_per_period(owner: Tenant):
    budget = make_budget(owner, "1")
    spend_and_end(owner, "0.3")
    assert (raise_alerts(), alerts()) == (0, [])
    spend_and_end(owner, "0.51")
    assert [raise_alerts(), raise_alerts()] == [1, 0]
    assert alerts() == [(budget.pk, Decimal("0.8"))]
    alert = the_alert()
    assert (alert.spent_usd, alert.limit_usd, alert.period_starts_on) == (
        Decimal("0.81"), Decimal(1), datetime.now(UTC).date(),
    )  # fmt: skip
    with platform():
        CostBudget.objects.update(limit_usd=Decimal("0.81"))
    assert [raise_alerts(), raise_alerts()] == [1, 0]
    assert alerts()[1] == (budget.pk, Decimal(1))


def test_a_limit_that_is_lowered_says_nothing_about_a_period_that_is_over(owner: Tenant):
    budget = make_budget(owner, "1", days_ago=3)
    spend_and_end(owner, "0.5")
    with platform(), connection.cursor() as cursor:
        cursor.execute("UPDATE usage_daily SET day = day - 1")
    assert raise_alerts() == 0
    with platform():
        CostBudget.objects.filter(pk=budget.pk).update(limit_usd=Decimal("0.4"))
    assert raise_alerts() == 0


def test_a_budget_says_nothing_about_another_project_or_a_time_before_it(owner: Tenant):
    spend_usd(owner, "0.9")
    with platform(), connection.cursor() as cursor:
        cursor.execute("UPDATE usage_daily SET day = day - 1")
    make_budget(owner, "1")
    stranger = make_tenant()
    make_budget(stranger, "1", period=BudgetPeriod.MONTH)
    assert (raise_alerts(), alerts()) == (0, [])
    with platform():
        CostBudget.objects.filter(account=owner.account).delete()
    make_budget(owner, "1", days_ago=3)
    # What was spent in the last minute of yesterday.
    assert raise_alerts() == 1
    assert the_alert().period_starts_on == datetime.now(UTC).date() - timedelta(days=1)


def test_a_budget_per_run_is_passed_by_each_run_once(owner: Tenant):
    make_budget(owner, "0.5", period=BudgetPeriod.RUN)
    first, second, small = spend_usd(owner, "0.39"), spend_usd(owner, "0.399"), spend_usd(owner, "0.03")
    assert raise_alerts() == 0
    for run in (first, second):
        spend(run, 10_000)
    post_unposted()
    assert [raise_alerts(), raise_alerts()] == [2, 0]
    with platform():
        assert set(BudgetAlert.objects.values_list("agent_run_id", flat=True)) == {first.pk, second.pk}
    assert small.pk not in {first.pk, second.pk}


@pytest.mark.django_db(transaction=True)
def test_eight_who_look_at_the_same_time_raise_and_claim_it_once():
    owner = make_tenant()
    make_budget(owner, "1")
    spend_usd(owner, "0.81")
    together = threading.Barrier(8, timeout=60)

    def look(_: int) -> tuple[int, int]:
        try:
            together.wait()
            return raise_alerts(), len(claim_alerts(5))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(look, range(8)))
    assert sum(raised for raised, _ in seen) == 1
    assert sum(claimed for _, claimed in seen) <= 1
    assert len(alerts()) == 1


def test_admins_get_one_mail_and_the_webhook_one_signed_request(owner: Tenant, admin: User, receiver: Receiver):
    with tenant(owner.account.pk):
        set_alert_webhook(account=owner.account, url=receiver.url, secret=SECRET, actor=admin)
    make_budget(owner, "1")
    spend_usd(owner, "0.81")
    assert [tell_budget_alerts(), tell_budget_alerts()] == [1, 0]

    (sent,) = mail.outbox
    assert sent.to == ["admin@example.com"]
    assert sent.subject == f"[Paid] {owner.account.name}: 80 % of the budget of 1.00 USD for the day are spent"
    assert sent.extra_headers["Message-ID"] == f"<budget-alert-{the_alert().pk}@127.0.0.1>"
    assert f"/a/{owner.account.slug}/settings/budgets/" in str(sent.body)
    ((headers, body),) = receiver.got
    at, signature = (part.split("=", 1)[1] for part in headers["x-paid-signature"].split(","))
    assert signature == hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert json.loads(body)["spent_usd"] == "0.810000000000"
    assert headers["x-paid-delivery"] == f"budget-alert-{the_alert().pk}"
    assert None not in (the_alert().mailed_at, the_alert().posted_at, the_alert().told_at)


def test_a_sender_that_dies_leaves_it_due_again_and_what_was_sent_is_not_sent_twice(
    owner: Tenant, admin: User, receiver: Receiver
):
    with tenant(owner.account.pk):
        set_alert_webhook(account=owner.account, url=receiver.url, secret=SECRET, actor=admin)
    make_budget(owner, "1")
    spend_usd(owner, "0.81")
    raise_alerts()
    (claimed,) = claim_alerts(5)
    assert claim_alerts(5) == []  # whoever claimed it has died; the lease runs out
    receiver.status = 302
    assert tell_alert(claimed) is False
    alert = the_alert()
    assert (len(mail.outbox), len(receiver.got), alert.last_error) == (1, 1, "It answered 302.")
    assert alert.due_at > datetime.now(UTC)
    receiver.status = 200
    with platform():
        BudgetAlert.objects.update(due_at=datetime.now(UTC) - timedelta(seconds=1))
    assert tell_budget_alerts() == 1
    assert (len(mail.outbox), len(receiver.got)) == (1, 2)
    assert (the_alert().attempts, the_alert().last_error) == (2, "")


def test_an_alert_that_nobody_takes_is_given_up_and_keeps_its_error(owner: Tenant, admin: User, receiver: Receiver):
    with tenant(owner.account.pk):
        set_alert_webhook(account=owner.account, url=receiver.url, secret=SECRET, actor=admin)
    receiver.status = 500
    make_budget(owner, "1")
    spend_usd(owner, "0.81")
    raise_alerts()
    with platform():
        BudgetAlert.objects.update(attempts=11)
    assert tell_budget_alerts() == 1
    assert (the_alert().last_error, the_alert().posted_at) == ("It answered 500.", None)


def webhook_of_before(owner: Tenant, url: str) -> None:
    """One that was kept before its address would have been refused."""
    with platform():
        AlertWebhook.objects.create(account=owner.account, url=url, secret=SECRET)


def alerts_of_two_accounts(first: Tenant) -> tuple[Tenant, BudgetAlert, BudgetAlert]:
    """Of two accounts, the first one's due first."""
    second = make_tenant()
    for each in (first, second):
        make_budget(each, "1")
        spend_usd(each, "0.81")
        raise_alerts()
    with platform():
        ours, theirs = (BudgetAlert.objects.get(account=each.account) for each in (first, second))
    return second, ours, theirs


def fresh(alert: BudgetAlert) -> BudgetAlert:
    with platform():
        return BudgetAlert.objects.get(pk=alert.pk)


@pytest.mark.parametrize("url", ["https://☃.com/x", f"https://{'a' * 64}.com/x"])
def test_an_address_that_cannot_be_called_holds_up_only_its_own_alert(owner: Tenant, admin: User, url: str):
    webhook_of_before(owner, url)
    _, ours, theirs = alerts_of_two_accounts(owner)
    assert tell_budget_alerts() == 1
    assert fresh(theirs).told_at is not None
    assert (fresh(ours).told_at, fresh(ours).attempts, fresh(ours).last_error) == (
        None, 1, "No such host can be called: check how its name is spelled.",
    )  # fmt: skip
    assert fresh(ours).due_at > datetime.now(UTC)


def test_a_secret_that_does_not_open_holds_up_only_its_own_alert(
    owner: Tenant, admin: User, receiver: Receiver, caplog: pytest.LogCaptureFixture
):
    webhook_of_before(owner, receiver.url)
    with platform(), connection.cursor() as cursor:
        cursor.execute("UPDATE alert_webhooks SET secret = set_byte(secret, length(secret) - 1, 0) || '\\x00'")
    _, ours, theirs = alerts_of_two_accounts(owner)
    assert tell_budget_alerts() == 1
    assert (fresh(theirs).told_at is not None, receiver.got) == (True, [])
    assert fresh(ours).last_error == "It could not be sent. Ask whoever runs this installation: the log says why."
    assert "EncryptionError" in caplog.text


def test_a_name_that_no_mail_can_bear_holds_up_only_its_own_alert(
    owner: Tenant, admin: User, caplog: pytest.LogCaptureFixture
):
    with platform():
        Account.objects.filter(pk=owner.account.pk).update(name="Two\nlines")
    _, ours, theirs = alerts_of_two_accounts(owner)
    assert tell_budget_alerts() == 1
    assert (fresh(theirs).told_at is not None, fresh(ours).told_at, fresh(ours).attempts) == (True, None, 1)
    assert BadHeaderError.__name__ in caplog.text


def test_what_does_not_answer_is_told_apart_in_the_log_only(
    owner: Tenant, admin: User, receiver: Receiver, settings: Any, caplog: pytest.LogCaptureFixture
):
    make_budget(owner, "1")
    spend_usd(owner, "0.81")
    raise_alerts()
    closed, no_tls = "https://127.0.0.1:1/", receiver.url.replace("http:", "https:")
    settings.ALERT_WEBHOOK_HOSTS.append("127.0.0.1:1")
    for url in (closed, no_tls):
        with platform():
            AlertWebhook.objects.all().delete()
        webhook_of_before(owner, url)
        assert tell_alert(the_alert().pk) is False
        assert the_alert().last_error == "The address did not answer."
    logged = [record.getMessage() for record in caplog.records if record.name == "metrics.alerts"]
    assert [httpx.ConnectError.__name__ in line for line in logged] == [True, True]
    assert "refused" in logged[0]
    assert "SSL" in logged[1]


@pytest.mark.parametrize(
    "url",
    ["http://example.com/hook", "https://169.254.169.254/", "https://localhost/x", "ftp://a.b", "https://127.0.0。1/x"],
)
def test_a_webhook_inside_of_the_network_is_refused_and_nothing_is_kept(owner: Tenant, admin: User, url: str):
    with pytest.raises(AddressRefused), tenant(owner.account.pk):
        set_alert_webhook(account=owner.account, url=url, secret=SECRET, actor=admin)
    with platform():
        assert AlertWebhook.objects.count() == 0


def test_an_address_that_was_allowed_once_is_checked_again_before_it_is_called(
    owner: Tenant, admin: User, receiver: Receiver, settings: Any
):
    with tenant(owner.account.pk):
        set_alert_webhook(account=owner.account, url=receiver.url, secret=SECRET, actor=admin)
    settings.ALERT_WEBHOOK_HOSTS = []
    make_budget(owner, "1")
    spend_usd(owner, "0.81")
    tell_budget_alerts()
    assert receiver.got == []
    assert the_alert().last_error == str(AddressRefused("ALERT_WEBHOOK_HOSTS"))
    with tenant(owner.account.pk):
        remove_alert_webhook(account=owner.account, actor=admin)
        assert AlertWebhook.objects.count() == 0


def test_a_name_that_leads_inwards_gets_no_alert_and_is_told_like_any_that_does_not_answer(
    owner: Tenant, admin: User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    resolve = socket.getaddrinfo

    def everything_is_here(host: str, *rest: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == "hooks.example.com" else host, *rest, **options)

    url = receiver.url.replace("http://127.0.0.1", "https://hooks.example.com")
    webhook_of_before(owner, url)
    make_budget(owner, "1")
    spend_usd(owner, "0.81")
    raise_alerts()
    monkeypatch.setattr(socket, "getaddrinfo", everything_is_here)
    assert tell_alert(the_alert().pk) is False
    assert the_alert().last_error == "The address did not answer."
    logged = [record.getMessage() for record in caplog.records if record.name == "paid.lib.tenant_http"]
    assert logged == ["hooks.example.com leads to an address that is not public: see ALERT_WEBHOOK_HOSTS"]
    assert receiver.got == []


def test_an_outsider_sees_no_alert_and_no_webhook(owner: Tenant, admin: User, receiver: Receiver):
    with tenant(owner.account.pk):
        set_alert_webhook(account=owner.account, url=receiver.url, secret=SECRET, actor=admin)
    make_budget(owner, "1")
    spend_usd(owner, "0.81")
    raise_alerts()
    with tenant(make_tenant().account.pk):
        assert (BudgetAlert.objects.count(), AlertWebhook.objects.count()) == (0, 0)


def test_escrows_of_runs_that_ended_go_back_without_a_gateway(owner: Tenant):
    run = make_run(owner)
    open_escrow(run=run)
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(status=RunStatus.FAILED, finished_at=run.created_at)
    assert [return_escrows(), return_escrows()] == [1, 0]
    assert escrow_of(run).closed_at is not None
