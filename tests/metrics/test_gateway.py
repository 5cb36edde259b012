"""The gateway between a real client on its Unix socket and the scripted model over real HTTP."""

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import time_machine

from agent_runs.models import AgentRun, RunStatus
from agent_runs.seal import probe_seal
from metrics.gateway import app
from metrics.models import BudgetReservation, GatewayCall, TokenUsage
from metrics.operations import open_escrow, post_spend
from metrics.querysets import cost_of_run
from metrics.scripted_model.counters import fingerprint
from paid.lib.tenancy import platform, tenant
from tests.metrics.conftest import GatewayServer
from tests.metrics.records import PRICES, Tenant, make_run, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "run-token-of-the-test"
NAME = "models.example.com"


def ask(
    model: str = "scripted-demo", *, stream: bool = True, max_tokens: int = 1000, text: str = "Hi"
) -> dict[str, Any]:
    return {
        "model": model,
        "max_tokens": max_tokens,
        "stream": stream,
        "system": [{"type": "text", "text": "You mend code." * 50, "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": text}],
        "tools": [{"name": name, "input_schema": {"type": "object"}} for name in ("Bash", "Edit", "Read")],
    }


def start_run(model: str = "scripted-demo", **options: Any) -> tuple[Tenant, AgentRun]:
    owner = make_tenant(model, **options)
    run = make_run(owner, token=TOKEN)
    open_escrow(run=run)
    return owner, run


def exact_cost(usage: dict[str, int]) -> Decimal:
    return (
        usage["input_tokens"] * PRICES["input"]
        + usage["output_tokens"] * PRICES["output"]
        + usage["cache_read_input_tokens"] * PRICES["cache_read"]
        + usage["cache_creation_input_tokens"] * PRICES["cache_write"]
    ) / 1_000_000


def is_under_way() -> bool:
    with platform():
        return GatewayCall.objects.exists()


def cost_in_row(run: AgentRun) -> Decimal:
    with platform():
        return AgentRun.objects.get(pk=run.pk).cost_usd


def ledger_rows() -> list[TokenUsage]:
    with platform():
        return list(TokenUsage.objects.order_by("created_at"))


def error_of(response: httpx.Response) -> dict[str, str]:
    body = response.json()
    assert body["type"] == "error"
    return dict(body["error"])


def test_a_streamed_answer_arrives_byte_for_byte_as_the_provider_sent_it(gateway: GatewayServer) -> None:
    start_run()
    direct = httpx.post(f"{gateway.upstream.url}/v1/messages", json=ask(), headers={"x-api-key": "direct"}, timeout=60)
    with gateway.client(TOKEN) as client:
        relayed = client.post("/v1/messages?beta=true", json=ask())
    assert relayed.status_code == 200
    assert relayed.content == direct.content
    assert relayed.headers["content-type"] == direct.headers["content-type"]


@pytest.mark.parametrize("stream", [True, False])
def test_tokens_and_cost_equal_the_models_own_count_to_the_last_digit(
    gateway: GatewayServer, eventually: Callable[[Callable[[], bool]], None], stream: bool
) -> None:
    owner, run = start_run()
    with gateway.client(TOKEN) as client:
        for number in range(3):
            client.post("/v1/messages", json=ask(stream=stream, text="x" * number * 37)).raise_for_status()
    counted = gateway.upstream.counters()["total"]
    assert counted["calls"] == 3
    assert counted["cache_creation_input_tokens"] > 0
    with tenant(owner.account.pk):
        cost = cost_of_run(run.pk)
        escrow = BudgetReservation.objects.get(agent_run=run)
    # The gateway posts it by itself.
    eventually(lambda: cost_in_row(run) == cost.cost_usd)
    assert (cost.calls, cost.input_tokens, cost.output_tokens) == (3, counted["input_tokens"], counted["output_tokens"])
    assert cost.cache_read_tokens == counted["cache_read_input_tokens"]
    assert cost.cache_write_tokens == counted["cache_creation_input_tokens"]
    assert cost.cost_usd == exact_cost(counted)
    assert escrow.drawn_usd == cost.cost_usd
    assert cost.estimated_calls == cost.unpriced_calls == 0


def test_each_ledger_row_names_the_providers_request(gateway: GatewayServer) -> None:
    start_run()
    with gateway.client(TOKEN) as client:
        response = client.post("/v1/messages", json=ask())
    (row,) = ledger_rows()
    assert row.provider_request_id == response.headers["request-id"]
    assert list(gateway.upstream.counters()["calls"]) == [row.provider_request_id]


def test_the_provider_sees_its_own_key_and_never_the_run_token(gateway: GatewayServer) -> None:
    start_run()
    with gateway.client(TOKEN) as client:
        client.post("/v1/messages", json=ask(), headers={"x-claude-code-session-id": "abc"}).raise_for_status()
    assert list(gateway.upstream.counters()["keys"]) == [fingerprint("scripted")]


def test_an_account_key_and_its_address_are_used_before_the_hosts(gateway: GatewayServer, settings: Any) -> None:
    owner, _ = start_run()
    with platform():
        owner.account.provider_keys.create(
            provider="scripted", name="ours", key="sk-account", base_url=gateway.upstream.url + "/"
        )
    with gateway.client(TOKEN) as client:
        client.post("/v1/messages", json=ask()).raise_for_status()
    assert list(gateway.upstream.counters()["keys"]) == [fingerprint("sk-account")]


def test_an_address_that_is_no_longer_allowed_gets_no_call_and_no_key(gateway: GatewayServer, settings: Any) -> None:
    owner, _ = start_run()
    with platform():
        owner.account.provider_keys.create(provider="scripted", name="k", key="sk", base_url=gateway.upstream.url)
    settings.PROVIDER_HOSTS = []
    with gateway.client(TOKEN) as client:
        response = client.post("/v1/messages", json=ask())
    assert response.status_code == 403
    assert error_of(response)["message"].startswith("The address of the key of scripted is refused. ")
    assert gateway.upstream.counters()["calls"] == {}
    assert ledger_rows() == []


def test_a_name_of_an_account_that_leads_inwards_is_not_connected_to_and_holds_no_money(
    gateway: GatewayServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    resolve = socket.getaddrinfo

    def everything_is_here(host: Any, *rest: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if host == NAME else host, *rest, **options)

    owner, _ = start_run()
    address = gateway.upstream.url.replace("http://127.0.0.1", f"https://{NAME}")
    with platform():
        owner.account.provider_keys.create(provider="scripted", name="k", key="sk", base_url=address)
    monkeypatch.setattr(socket, "getaddrinfo", everything_is_here)
    with gateway.client(TOKEN) as client:
        response = client.post("/v1/messages", json=ask())
    assert response.status_code == 502
    assert [record.getMessage() for record in caplog.records if record.name == "paid.lib.tenant_http"] == [
        f"{NAME} leads to an address that is not public: see PROVIDER_HOSTS"
    ]
    assert gateway.upstream.counters()["calls"] == {}
    assert ledger_rows() == []


def test_it_counts_tokens_without_a_ledger_row(gateway: GatewayServer) -> None:
    start_run()
    body = {key: value for key, value in ask().items() if key not in {"max_tokens", "stream"}}
    direct = httpx.post(
        f"{gateway.upstream.url}/v1/messages/count_tokens", json=body, headers={"x-api-key": "k"}, timeout=60
    )
    with gateway.client(TOKEN) as client:
        response = client.post("/v1/messages/count_tokens", json=body)
    assert response.json() == direct.json()
    assert ledger_rows() == []


def test_it_refuses_an_unknown_token_and_never_reaches_the_provider(gateway: GatewayServer) -> None:
    start_run()
    with gateway.client("another") as client:
        response = client.post("/v1/messages", json=ask())
    assert response.status_code == 403
    assert error_of(response)["type"] == "permission_error"
    assert gateway.upstream.counters()["total"]["calls"] == 0


def test_a_call_without_a_token_is_not_authenticated(gateway: GatewayServer) -> None:
    with gateway.client(TOKEN) as client:
        del client.headers["authorization"]
        assert client.post("/v1/messages", json=ask()).status_code == 401


def test_the_token_dies_with_its_run(gateway: GatewayServer) -> None:
    _, run = start_run()
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(
            status=RunStatus.FAILED, finished_at=run.created_at, run_token_hash=None
        )
    with gateway.client(TOKEN) as client:
        response = client.post("/v1/messages", json=ask())
    assert response.status_code == 403
    assert "has ended" in error_of(response)["message"]


def test_an_agent_that_kept_its_token_reaches_nothing_with_it_after_the_run(gateway: GatewayServer) -> None:
    """Asked from inside of a sandbox; while the run lives the same question is taken for its own."""
    _, run = start_run()
    assert "dead-token" in escapes(gateway)
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(
            status=RunStatus.FAILED, finished_at=run.created_at, run_token_hash=None
        )
    assert escapes(gateway) == []


def escapes(gateway: GatewayServer) -> list[str]:
    verdicts = probe_seal(gateway_socket=str(gateway.socket), dead_token=TOKEN)
    return [verdict.name for verdict in verdicts if verdict.has_escaped]


def test_a_run_that_is_being_stopped_makes_no_more_calls(gateway: GatewayServer) -> None:
    _, run = start_run()
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(stop_requested_at=run.created_at)
    with gateway.client(TOKEN) as client:
        response = client.post("/v1/messages", json=ask())
    assert response.status_code == 403
    assert "being stopped" in error_of(response)["message"]


def test_a_run_may_use_its_own_model_only(gateway: GatewayServer) -> None:
    start_run()
    with gateway.client(TOKEN) as client:
        response = client.post("/v1/messages", json=ask("scripted-expensive"))
    assert response.status_code == 403
    assert error_of(response)["message"] == "This run may not use the model scripted-expensive."
    assert gateway.upstream.counters()["total"]["calls"] == 0


def test_a_call_that_could_cost_more_than_is_left_ends_in_a_terminal_error(gateway: GatewayServer) -> None:
    owner = make_tenant()
    run = make_run(owner, token=TOKEN)
    open_escrow(run=run, wanted_usd=Decimal("0.02"))
    with gateway.client(TOKEN) as client:
        assert client.post("/v1/messages", json=ask(max_tokens=1000)).status_code == 200
        refused = client.post("/v1/messages", json=ask(max_tokens=2000))
    assert refused.status_code == 403
    assert error_of(refused)["type"] == "permission_error"
    assert "The budget of this run is used up" in error_of(refused)["message"]
    assert gateway.upstream.counters()["total"]["calls"] == 1
    assert len(ledger_rows()) == 1


def test_an_expensive_run_never_passes_its_escrow(gateway: GatewayServer) -> None:
    owner = make_tenant("scripted-expensive")
    run = make_run(owner, token=TOKEN)
    open_escrow(run=run, wanted_usd=Decimal("1"))
    statuses = []
    with gateway.client(TOKEN) as client:
        while 403 not in statuses:
            statuses.append(client.post("/v1/messages", json=ask("scripted-expensive", max_tokens=20000)).status_code)
    assert statuses == [200, 200, 200, 403]
    counted = gateway.upstream.counters()["total"]
    with tenant(owner.account.pk):
        cost = cost_of_run(run.pk)
    assert cost.cost_usd == exact_cost(counted) <= 1


def test_without_an_escrow_there_is_no_call(gateway: GatewayServer) -> None:
    make_run(make_tenant(), token=TOKEN)
    with gateway.client(TOKEN) as client:
        response = client.post("/v1/messages", json=ask())
    assert response.status_code == 403
    assert error_of(response)["message"] == "This run holds no budget, so it may make no calls."


def test_an_unpriced_model_shows_as_unpriced_and_not_as_free(gateway: GatewayServer) -> None:
    owner, run = start_run(is_priced=False)
    with gateway.client(TOKEN) as client:
        client.post("/v1/messages", json=ask()).raise_for_status()
    (row,) = ledger_rows()
    assert (row.is_priced, row.cost_usd) == (False, Decimal(0))
    assert row.output_tokens > 0
    post_spend(run=run)
    with tenant(owner.account.pk):
        run.refresh_from_db()
    assert run.unpriced_calls == 1


def test_an_error_of_the_provider_passes_through_and_costs_nothing(gateway: GatewayServer) -> None:
    start_run("scripted-429")
    with gateway.client(TOKEN) as client:
        response = client.post("/v1/messages", json=ask("scripted-429"))
    assert response.status_code == 429
    assert error_of(response)["type"] == "rate_limit_error"
    assert not is_under_way()
    assert ledger_rows() == []


def test_a_provider_that_is_away_costs_nothing(gateway: GatewayServer) -> None:
    owner, _ = start_run()
    with platform():
        owner.account.provider_keys.create(provider="scripted", name="away", key="k", base_url="http://127.0.0.1:9")
    with gateway.client(TOKEN) as client:
        response = client.post("/v1/messages", json=ask())
    assert response.status_code == 502
    assert error_of(response)["message"] == "The provider scripted could not be reached."
    assert not is_under_way()


def test_a_provider_that_breaks_off_is_paid_for_what_was_seen(gateway: GatewayServer) -> None:
    start_run("scripted-break")
    received: list[bytes] = []
    with (
        gateway.client(TOKEN) as client,
        client.stream("POST", "/v1/messages", json=ask("scripted-break")) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        received.extend(answer.iter_raw())
    assert b"message_start" in b"".join(received)
    assert b"message_stop" not in b"".join(received)
    (row,) = ledger_rows()
    counted = gateway.upstream.counters()["total"]
    assert row.is_estimated
    assert (row.input_tokens, row.output_tokens) == (counted["input_tokens"], counted["output_tokens"])
    assert row.cost_usd == exact_cost(counted)


def test_a_client_that_leaves_in_mid_stream_pays_for_what_the_provider_counted(
    gateway: GatewayServer, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    start_run("scripted-stall")
    with gateway.client(TOKEN) as client, client.stream("POST", "/v1/messages", json=ask("scripted-stall")) as response:
        received = b""
        for chunk in response.iter_raw():
            received += chunk
            if received.count(b"content_block_delta") >= 6:
                break
    eventually(lambda: not is_under_way())
    (row,) = ledger_rows()
    counted = gateway.upstream.counters()["total"]
    assert row.is_estimated
    assert (row.input_tokens, row.output_tokens) == (counted["input_tokens"], counted["output_tokens"])


def test_an_account_has_so_many_calls_under_way_and_leaves_the_connections_to_others(
    gateway: GatewayServer, monkeypatch: pytest.MonkeyPatch, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    monkeypatch.setattr(app, "MOST_CALLS_OF_AN_ACCOUNT", 1)
    start_run("scripted-stall")
    open_escrow(run=make_run(make_tenant(), token="another account's"))
    with gateway.client(TOKEN) as client, gateway.client("another account's") as other:
        with client.stream("POST", "/v1/messages", json=ask("scripted-stall")) as stalled:
            answer = stalled.iter_bytes()  # one that nobody holds ends the call when it is collected
            next(answer)
            refused = client.post("/v1/messages", json=ask("scripted-stall"))
            assert other.post("/v1/messages", json=ask()).status_code == 200
        assert (refused.status_code, error_of(refused)["type"]) == (429, "rate_limit_error")
        # What was refused held no money; with the end of the first call there is room again.
        eventually(lambda: not is_under_way())
        with client.stream("POST", "/v1/messages", json=ask("scripted-stall")) as again:
            assert again.status_code == 200


def test_what_a_crashed_gateway_left_open_is_settled_by_the_next_start(
    start_gateway: Callable[[], GatewayServer], eventually: Callable[[Callable[[], bool]], None]
) -> None:
    _, run = start_run()
    leave_open(run)
    start_gateway()
    eventually(lambda: not is_under_way())
    (row,) = ledger_rows()
    assert (row.is_estimated, row.cost_usd) == (True, Decimal("0.00315"))
    eventually(lambda: cost_in_row(run) == row.cost_usd)


def test_a_call_that_the_ledger_cannot_take_keeps_no_other_tenants_call_from_being_swept(
    start_gateway: Callable[[], GatewayServer],
    eventually: Callable[[Callable[[], bool]], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (_, full), other = start_run(), make_run(make_tenant())
    open_escrow(run=other)
    stuck, left = leave_open(full), leave_open(other)
    with platform():
        # More than its sums may come to. Opened first, it is the first of the sweep.
        AgentRun.objects.filter(pk=full.pk).update(cost_usd=Decimal(50_000_000))
    start_gateway()
    eventually(lambda: "settled 1 calls" in caplog.text)
    assert [row.request_id for row in ledger_rows()] == [left]
    with platform():
        assert list(GatewayCall.objects.values_list("request_id", flat=True)) == [stuck]
    assert f"call {stuck} was left open and cannot be settled: run {full.pk} would have cost" in caplog.text


def leave_open(run: AgentRun) -> UUID:
    """A call of a gateway that died meanwhile."""
    with platform():
        call = GatewayCall.objects.create(
            request_id=uuid4(),
            account_id=run.account_id,
            agent_run_id=run.pk,
            run_created_at=run.created_at,
            language_model_id=run.language_model_id,
            model_name="scripted-demo",
            hold_usd=Decimal("0.5"),
            input_tokens=1000,
            output_tokens=10,
            gateway_id="test-gateway",
            opened_at=run.created_at,
        )
    return call.request_id


def test_no_secret_reaches_the_log(gateway: GatewayServer, caplog: pytest.LogCaptureFixture) -> None:
    owner, _ = start_run()
    with platform():
        owner.account.provider_keys.create(
            provider="scripted", name="k", key="sk-very-secret", base_url="http://127.0.0.1:9"
        )
    with gateway.client(TOKEN) as client:
        response = client.post("/v1/messages", json=ask())
    assert "sk-very-secret" not in caplog.text + response.text
    assert TOKEN not in caplog.text + response.text


def test_a_body_that_is_not_a_request_is_refused_by_name(gateway: GatewayServer) -> None:
    start_run()
    without_limit = {key: value for key, value in ask().items() if key != "max_tokens"}
    with gateway.client(TOKEN) as client:
        response = client.post("/v1/messages", content=json.dumps(without_limit))
    assert response.status_code == 400
    assert "max_tokens" in error_of(response)["message"]


def test_a_host_whose_clock_is_an_hour_ahead_sweeps_no_call_that_still_runs(
    start_gateway: Callable[[], GatewayServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls are opened by the database's clock: by the host's own, every one would be older than this gateway."""
    start_run()
    monkeypatch.setattr(app, "SWEEP_SECONDS", 0.05)
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1)):
        gateway = start_gateway()
        gateway.upstream.model.delay_seconds = 0.05
        with gateway.client(TOKEN) as client:
            client.post("/v1/messages", json=ask()).raise_for_status()
    counted = gateway.upstream.counters()["total"]
    (row,) = ledger_rows()
    assert (row.is_estimated, row.output_tokens) == (False, counted["output_tokens"])


def test_no_log_tells_a_token_or_a_key(gateway: GatewayServer, caplog: pytest.LogCaptureFixture) -> None:
    start_run()
    caplog.set_level("DEBUG")
    with gateway.client(TOKEN) as client:
        client.post("/v1/messages", json=ask()).raise_for_status()
        client.post("/v1/messages", json=ask("scripted-other"))
        client.post("/v1/messages", content=b"no JSON")
    with gateway.client(f"{TOKEN}-of-nobody") as client:
        client.post("/v1/messages", json=ask())
    assert TOKEN not in caplog.text
    assert "x-api-key" not in caplog.text
