"""The scripted model: a real loop that the real Claude Code drives, and failures on demand."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import claude_agent_sdk
import httpx
import pytest

from agent_runs.models import AgentRun
from metrics.operations import open_escrow
from metrics.querysets import cost_of_run
from metrics.scripted_model.conversation import read_conversation
from metrics.scripted_model.knowledge import load_knowledge
from metrics.scripted_model.player import next_turn
from metrics.scripted_model.usage import count_input
from paid.lib.tenancy import tenant
from tests.metrics.conftest import GatewayServer, ModelServer
from tests.metrics.records import make_run, make_tenant

CLAUDE_CODE = Path(claude_agent_sdk.__file__).parent / "_bundled" / "claude"
TOOLS: list[dict[str, Any]] = [{"name": name, "input_schema": {}} for name in ("Bash", "Read", "Edit")]
SOURCE = 'def slugify(text: str) -> str:\n    return "-".join(text.lower().split(" "))\n'
TEST = """import unittest

from slugs.text import slugify


class SlugTest(unittest.TestCase):
    def test_two_spaces_are_one_dash(self):
        self.assertEqual(slugify("Two  Words"), "two-words")
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A repository whose one test fails."""
    root = tmp_path / "sample"
    for name, text in {"slugs/__init__.py": "", "slugs/text.py": SOURCE, "tests/__init__.py": ""}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "tests/test_text.py").write_text(TEST)
    return root


def claude_code(socket: Path, directory: Path, token: str, model: str, *options: str) -> list[dict[str, Any]]:
    """Run the real binary as an agent would be run; gives its events."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory.parent),
        "IS_SANDBOX": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "2",
        "DISABLE_AUTOUPDATER": "1",
        "ANTHROPIC_UNIX_SOCKET": str(socket),
        "ANTHROPIC_BASE_URL": "http://gateway.local",
        "ANTHROPIC_AUTH_TOKEN": token,
    }
    flags = ["-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"]
    finished = subprocess.run(
        [str(CLAUDE_CODE), *flags, "--strict-mcp-config", "--model", model, *options],
        input="Make the failing test pass.",
        capture_output=True,
        text=True,
        timeout=300,
        cwd=directory,
        env=environment,
    )
    return [json.loads(line) for line in finished.stdout.splitlines()]


def start_run(model: str) -> AgentRun:
    run = make_run(make_tenant(model), token="token")
    open_escrow(run=run)
    return run


@pytest.mark.django_db(transaction=True)
def test_claude_code_mends_the_sample_through_the_gateway_and_every_token_is_booked(
    gateway: GatewayServer, sample: Path
) -> None:
    run = start_run("scripted-demo")
    *_, result = claude_code(gateway.socket, sample, "token", "scripted-demo", "--max-turns", "20")
    assert (result["type"], result["is_error"]) == ("result", False)
    assert "All tests pass now" in result["result"]
    tests = subprocess.run([sys.executable, "-m", "unittest"], cwd=sample, capture_output=True, text=True)
    assert (tests.returncode, tests.stderr.splitlines()[-1]) == (0, "OK")
    counted = gateway.upstream.counters()["total"]
    with tenant(run.account_id):
        cost = cost_of_run(run.pk)
    assert (cost.calls, cost.estimated_calls) == (counted["calls"], 0)
    assert (cost.input_tokens, cost.output_tokens) == (counted["input_tokens"], counted["output_tokens"])
    assert cost.cache_read_tokens == counted["cache_read_input_tokens"]
    assert cost.cache_write_tokens == counted["cache_creation_input_tokens"]
    assert result["usage"]["output_tokens"] == cost.output_tokens


@pytest.mark.django_db(transaction=True)
def test_claude_code_ends_at_once_with_our_words_when_money_is_out(gateway: GatewayServer, sample: Path) -> None:
    run = make_run(make_tenant("scripted-endless"), token="token")
    # Enough to hold one call of Claude Code (32,000 tokens of output) and not a second one.
    open_escrow(run=run, wanted_usd=Decimal("0.6"))
    *_, result = claude_code(gateway.socket, sample, "token", "scripted-endless")
    assert (result["subtype"], result["is_error"]) == ("success", True)
    assert "The budget of this run is used up" in result["result"]


def post(server: ModelServer, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/messages", json=body, headers={"x-api-key": "k"}, timeout=60)


def ask(model: str = "scripted-demo", **fields: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **fields}


def test_an_overloaded_model_answers_the_same_request_the_second_time(model_server: ModelServer) -> None:
    statuses = [post(model_server, ask("scripted-529-then-ok")).status_code for _ in range(2)]
    assert statuses == [529, 200]
    assert model_server.counters()["total"]["calls"] == 1


def test_the_same_conversation_gets_the_same_answer(model_server: ModelServer) -> None:
    first, second = (post(model_server, ask(tools=TOOLS)).json() for _ in range(2))
    assert first == second
    assert first["stop_reason"] == "tool_use"


def test_an_answer_stops_at_max_tokens(model_server: ModelServer) -> None:
    answer = post(model_server, ask(tools=TOOLS, max_tokens=2)).json()
    assert (answer["stop_reason"], answer["usage"]["output_tokens"]) == ("max_tokens", 2)
    assert answer["content"] == [{"type": "text", "text": "I'll run"}]


def test_a_request_without_tools_gets_a_title(model_server: ModelServer) -> None:
    assert post(model_server, ask()).json()["content"] == [{"type": "text", "text": "Fix the failing test"}]


def test_who_brings_no_key_is_refused(model_server: ModelServer) -> None:
    assert httpx.post(f"{model_server.url}/v1/messages", json=ask(), timeout=60).status_code == 401


def test_a_second_call_reads_from_the_cache_what_the_first_one_wrote() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    question = {"role": "user", "content": [{"type": "text", "text": "x" * 400, **mark}]}
    first = count_input({"system": "s" * 40, "messages": [question]})
    answer = {"role": "assistant", "content": "y" * 40}
    again = {"role": "user", "content": [{"type": "text", "text": "z", **mark}]}
    second = count_input({"system": "s" * 40, "messages": [question, answer, again]})
    assert first[2] == 0
    assert second[2] == first[1]


def test_it_gives_up_in_words_when_it_finds_no_cause() -> None:
    failing = "FAIL: test_x (tests.test_x.X.test_x)\nFAILED (failures=1)"
    conversation = read_conversation({"tools": TOOLS, "messages": _history(("Bash", "python3 -m unittest", failing))})
    listing = next_turn(conversation, load_knowledge())
    assert listing.tool_calls[0].arguments["command"].startswith("find ")
    history = _history(("Bash", "python3 -m unittest", failing), ("Bash", "find . -name '*.py'", "./other.py"))
    ended = next_turn(read_conversation({"tools": TOOLS, "messages": history}), load_knowledge())
    assert ended.tool_calls == ()
    assert "no cause that I know how to mend" in ended.text


def _history(*steps: tuple[str, str, str]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Mend it."}]
    for number, (tool, command, output) in enumerate(steps):
        call = {"type": "tool_use", "id": f"t{number}", "name": tool, "input": {"command": command}}
        result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": output}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    return messages
