"""An agent that talks to the gateway by hand."""

import json
from typing import Any

import httpx
import pytest

from metrics.gateway.anthropic import InvalidRequest, parse_request
from metrics.gateway.meter import StreamMeter, tokens_of_message
from metrics.models import GatewayCall
from paid.lib.tenancy import platform
from tests.metrics.conftest import GatewayServer
from tests.metrics.test_gateway import TOKEN, ask, error_of, start_run

DEEP = "[" * 100_000 + "]" * 100_000
PLAIN = '"model":"scripted-demo","max_tokens":1000,"messages":[]'


def with_source(source: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image", "source": source}]}]


URL_SOURCE = {"type": "url", "url": "https://elsewhere.example/?what-the-agent-read"}
BODIES = {
    "deep": "{" + PLAIN + ',"x":' + DEEP + "}",
    "a model twice": "{" + PLAIN + ',"model":"scripted-other"}',
    "a limit twice": "{" + PLAIN + ',"max_tokens":100000}',
    "a limit beyond bigint": '{"model":"scripted-demo","max_tokens":1' + "0" * 30 + "}",
    "a limit that is true": '{"model":"scripted-demo","max_tokens":true}',
    "a negative limit": '{"model":"scripted-demo","max_tokens":-1}',
    "a NUL in the model": '{"model":"scripted-demo\\u0000","max_tokens":1}',
    "half a surrogate in the model": '{"model":"\\ud800","max_tokens":1}',
    "a connector": json.dumps(ask() | {"mcp_servers": [{"type": "url", "url": "https://elsewhere.example"}]}),
    "a search": json.dumps(ask() | {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    "a fetch": json.dumps(ask() | {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}),
    "a dear speed": json.dumps(ask() | {"speed": "fast"}),
    "a dear tier": json.dumps(ask() | {"service_tier": "priority"}),
    "a dear place": json.dumps(ask() | {"inference_geo": "us"}),
    "a speed that is no word": json.dumps(ask() | {"speed": ["fast"]}),
    "an image elsewhere": json.dumps(ask() | {"messages": with_source(URL_SOURCE)}),
    "an image elsewhere in a tool's result": json.dumps(
        ask()
        | {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "tool_result",
                            "tool_use_id": "a",
                            "content": [{"type": "image", "source": URL_SOURCE}],
                        }
                    ],
                }
            ]
        }
    ),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_request_that_is_not_what_it_seems_is_refused(body: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_request(body.encode(), needs_limit=True)


def test_an_agents_own_tools_and_pictures_pass() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "AA=="}
    tools = [{"type": "bash_20250124", "name": "bash"}, {"type": "custom", "name": "x", "input_schema": {}}]
    body = ask() | {"messages": with_source(source), "tools": tools, "mcp_servers": []}
    assert parse_request(json.dumps(body).encode(), needs_limit=True).max_tokens == 1000


def test_what_costs_the_listed_price_passes() -> None:
    body = ask() | {"speed": "standard", "service_tier": "auto", "inference_geo": None}
    assert parse_request(json.dumps(body).encode(), needs_limit=True).max_tokens == 1000


def test_a_deep_answer_does_not_end_the_count() -> None:
    meter = StreamMeter()
    meter.feed(b"data: " + DEEP.encode() + b"\n")
    assert not meter.is_started
    assert tokens_of_message(DEEP.encode()) is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("address", ["/v1/messages?" + "x" * 5_000, "/v1/messages?a=b'c", "/v1/messages?a=b/../c"])
def test_an_address_that_no_client_sends_holds_no_money(gateway: GatewayServer, address: str) -> None:
    start_run()
    with gateway.client(TOKEN) as client:
        response = client.post(address, json=ask())
    assert response.status_code == 400
    assert error_of(response)["type"] == "invalid_request_error"
    with platform():
        assert not GatewayCall.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["/v1/messages/../models", "/v1/messages/%2e%2e/models", "//v1/messages", "/v1/files"])
def test_no_other_path_of_the_provider_is_reached(gateway: GatewayServer, path: str) -> None:
    start_run()
    with gateway.client(TOKEN) as client:
        request = httpx.Request("POST", "http://gateway.local", json=ask(), headers=client.headers)
        request.url = httpx.URL("http://gateway.local").copy_with(raw_path=path.encode())
        assert client.send(request).status_code == 404
    assert gateway.upstream.counters()["total"]["calls"] == 0
