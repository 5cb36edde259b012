"""The real Claude Code binary, sealed and supervised, against a scripted model on a Unix socket."""

import json
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from agent_runs import spool, supervisor, workspace
from agent_runs.agents.registry import adapter_for
from agent_runs.contracts import AgentEvent, AgentJob, AgentResult, ExitRecord, Workspace
from agent_runs.sandbox import SandboxSpec, run_sealed
from agent_runs.supervisor.launch import plan_for
from metrics.scripted_model.app import ScriptedModel
from projects import sample
from tests.agent_runs.processes import agents_with, command_lines, launch_and_kill_the_launcher, wait_until
from tests.agent_runs.repositories import git, make_bare
from tests.agent_runs.working_files import contents, files_below
from tests.metrics.serving import serving

TOKEN = f"run-token-of-this-test-{uuid.uuid4().hex}"
PROMPT = (
    "The slugs of titles with several spaces are wrong. Make the tests pass; run them with `python3 -m unittest -v`."
)


@dataclass
class Served:
    socket_path: Path
    model: ScriptedModel


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A model server on a socket in a directory of its own, as the gateway's is."""
    directory = tmp_path / "gateway"
    directory.mkdir()
    model = ScriptedModel()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "gateway.sock"))
        with serving(model, listener):
            yield Served(directory / "gateway.sock", model)


@pytest.fixture
def made(tmp_path: Path) -> Workspace:
    files = Path(sample.__file__).parent / "repository"
    content = {str(path.relative_to(files)): path.read_text() for path in files.rglob("*") if path.is_file()}
    return workspace.prepare(
        url=str(make_bare(tmp_path, content)),
        cache_dir=str(tmp_path / "cache" / "1.git"),
        run_dir=str(tmp_path / "runs" / "7"),
        base_branch="main",
        branch="paid/1-mend-slugs-7",
    )


@pytest.fixture
def job(made: Workspace, served: Served) -> Iterator[AgentJob]:
    run_dir = str(Path(made.path).parent)
    yield AgentJob(
        run_id=7,
        agent="claude_code",
        model="scripted-demo",
        prompt=PROMPT,
        system_prompt="Be brief.",
        workspace=made.path,
        run_dir=run_dir,
        gateway_socket=str(served.socket_path),
        run_token=TOKEN,
        base_url="http://gateway",
        max_turns=30,
        wall_seconds=600,
        stall_seconds=60,
        read_only=made.read_only,
    )
    supervisor.stop_all(str(Path(run_dir).parent), "end of the test")


def follow(job: AgentJob) -> tuple[list[AgentEvent], AgentResult, ExitRecord]:
    wait_until(lambda: supervisor.read_exit(job.run_dir) is not None, 660)
    ended = supervisor.read_exit(job.run_dir)
    assert ended is not None
    adapter = adapter_for(job.agent)
    records, _ = spool.read_from(job.run_dir, 0)
    events = [event for record in records for event in adapter.feed(record)]
    return events, adapter.result(ended), ended


def wait_for_tool(job: AgentJob) -> None:
    wait_until(lambda: any('"tool_use"' in record.text for record in spool.read_from(job.run_dir, 0)[0]), 300)


def test_it_mends_the_sample_and_ends_in_a_commit_on_the_branch(job: AgentJob, made: Workspace, served: Served) -> None:
    supervisor.launch(job)
    events, result, ended = follow(job)
    assert (result.outcome, result.exit_code, ended.reason) == ("success", 0, "finished"), (result, events)
    assert [event.kind for event in events if event.kind == "unknown"] == []
    edits = [event for event in events if event.kind == "tool_use" and event.data["name"] == "Edit"]
    assert [event.text for event in edits] == ["Edit: /workspace/textkit/slug.py"]

    outcome = workspace.commit_all(made, message="Mend slugs", author_name="Paid", author_email="paid@paid.invalid")
    assert outcome.changed_paths == ("textkit/slug.py",)
    changed = git(Path(made.git_dir), "diff", "--unified=0", made.base_sha, made.branch)
    assert changed.splitlines()[-2:] == [
        '-    return "-".join(cleaned.split(" "))',
        '+    return "-".join(cleaned.split())',
    ]
    assert workspace.scan(git_dir=made.git_dir, base_sha=made.base_sha, head_sha=str(outcome.head_sha)) == []
    tests = run_sealed(SandboxSpec(workspace=made.path), ["python3", "-m", "unittest"])
    assert tests.exit_code == 0

    # The CLI's own count equals what the server says it sold, and every call carried the run's token.
    usage = next(event for event in events if event.kind == "usage").data["usage"]
    total = served.model.counters.total
    assert (usage["input_tokens"], usage["output_tokens"]) == (total.input_tokens, total.output_tokens)
    assert len(served.model.counters.keys) == 1
    assert total.calls == result.turns


def test_the_token_and_the_prompt_are_in_no_command_line_and_no_file(job: AgentJob) -> None:
    supervisor.launch(replace(job, model="scripted-endless"))
    wait_for_tool(job)
    lines = " ".join(command_lines().values())
    assert TOKEN not in lines
    assert "slugs of titles" not in lines
    files = contents(files_below(Path(job.run_dir)))
    assert len(files) > 10
    assert [path.name for path, content in files.items() if TOKEN.encode() in content] == []


def test_a_stop_is_polite_and_leaves_no_process(job: AgentJob) -> None:
    # With time to be polite, however slow the machine is.
    supervisor.start(job.run_dir, replace(plan_for(replace(job, model="scripted-endless")), stop_grace_seconds=60))
    wait_for_tool(job)
    assert agents_with(TOKEN) != []
    supervisor.request_stop(job.run_dir, "Stopped by Ada.")
    wait_until(lambda: agents_with(TOKEN) == [])
    _, result, ended = follow(job)
    # Interrupted it exits with 0, killed it would be 137. It mostly writes a result before, but not always.
    assert (result.outcome, result.text, ended.exit_code) == ("stopped", "Stopped by Ada.", 0)


def test_a_model_that_says_nothing_any_more_is_noticed(job: AgentJob) -> None:
    supervisor.launch(replace(job, model="scripted-stall", stall_seconds=4))
    wait_until(lambda: agents_with(TOKEN) != [])
    _, result, _ = follow(job)
    assert (result.outcome, result.text) == ("stalled", "No output for 4 seconds.")
    assert agents_with(TOKEN) == []


def test_killing_the_worker_changes_nothing_for_the_agent(job: AgentJob, made: Workspace, served: Served) -> None:
    launch_and_kill_the_launcher(job.run_dir, plan_for(job))
    wait_until(lambda: agents_with(TOKEN) != [])
    agents = agents_with(TOKEN)
    supervisor.launch(job)
    assert agents_with(TOKEN) == agents
    _, result, _ = follow(job)
    assert result.outcome == "success"
    starts = [record for record in spool.read_from(job.run_dir, 0)[0] if '"subtype":"init"' in record.text]
    assert len(starts) == 1
    assert served.model.counters.total.calls == result.turns


async def out_of_money(_scope: object, receive: Any, send: Any) -> None:
    """What the gateway says when a run's budget is used up."""
    await receive()
    words = "The budget of this run is used up: 0.0000 USD are left."
    body = json.dumps({"type": "error", "error": {"type": "permission_error", "message": words}}).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def test_a_refusal_for_want_of_money_ends_the_run_at_once(job: AgentJob, tmp_path: Path) -> None:
    (tmp_path / "poor").mkdir()
    path = tmp_path / "poor" / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        with serving(out_of_money, listener):
            supervisor.launch(replace(job, gateway_socket=str(path)))
            _, result, ended = follow(job)
    assert (result.outcome, ended.reason) == ("budget", "finished"), result
    assert "The budget of this run is used up" in result.text


def test_the_binary_is_the_one_that_was_recorded() -> None:
    adapter = adapter_for("claude_code")
    job = AgentJob(1, "claude_code", "m", "", None, "/w", "/r", "/g", "t", "http://g", 1, 1, 1)
    spec = SandboxSpec(directory="/", read_only=adapter.binds(job))
    words = run_sealed(spec, ["/opt/agent/claude", "--version"]).stdout.decode()
    assert words.endswith("(Claude Code)\n")
