"""What `manage.py doctor` says about the seal: on this machine, where bubblewrap cannot work, and when one escapes."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from agent_runs.sandbox import SandboxSpec, SealedResult
from agent_runs.seal import room

ROOT = Path(__file__).resolve().parents[2]
DOCTOR = f"exec {sys.executable} -W ignore manage.py doctor --json"


def findings_of(output: str) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in json.loads(output)["findings"]}


def seal_of(findings: dict[str, dict[str, Any]]) -> dict[str, bool]:
    return {name: finding["is_ok"] for name, finding in findings.items() if name.startswith("seal")}


def examined(script: str) -> tuple[int, dict[str, dict[str, Any]]]:
    # Nothing but the sandbox is asked about here: the servers may be away.
    environment = {
        **os.environ,
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1",
    }
    argv = ["/bin/sh", "-c", script]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout, done.stderr
    return done.returncode, findings_of(done.stdout)


def run_python(script: str, environment: dict[str, str]) -> str:
    argv = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_probes_the_seal_and_names_each_probe():
    _, findings = examined(DOCTOR)
    seal = seal_of(findings)
    assert len(seal) >= 20
    assert set(seal.values()) == {True}
    assert findings["seal: tcp"]["detail"] == "cannot connect to a TCP server of the host (Connection refused)"


@pytest.mark.skipif(shutil.which("unshare") is None, reason="util-linux has no unshare here")
def test_where_namespaces_are_denied_it_says_so_and_probes_nothing():
    denied = f"echo 0 > /proc/sys/user/max_user_namespaces; {DOCTOR}"
    code, findings = examined(f"exec unshare --user --map-root-user /bin/sh -c '{denied}'")
    assert code == 1
    assert findings["sandbox"]["detail"].startswith("The sandbox cannot be made: bwrap: ")
    assert findings["sandbox"]["detail"].endswith("sysctl user.max_user_namespaces=10000.")
    assert seal_of(findings) == {"seal": False}
    assert findings["seal"]["detail"] == (
        "No probe was made: without the sandbox Paid runs no agents on this host, and none unsealed."
    )


def test_it_asks_temporal_and_keeps_no_thread_of_its_client(temporal_address: str):
    # One that is left when the interpreter ends may abort it: the report is out, but the exit code is another.
    script = (
        "import os, django; django.setup(); from paid.stack.doctor import EXAMINATIONS; "
        "threads = lambda: set(os.listdir('/proc/self/task')); before = threads(); "
        "asked = [examination.run() for examination in EXAMINATIONS if examination.name == 'temporal']; "
        "print(asked[0].is_ok, asked[0].detail, len(threads() - before))"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "paid.settings", "TEMPORAL_ADDRESS": temporal_address}
    asked = run_python(script, environment)
    assert asked == f"True {temporal_address}, namespace default 0"
    refused = run_python(script, {**environment, "TEMPORAL_NAMESPACE": "nowhere"})
    assert refused == "False Namespace nowhere is not found. 0"


def test_a_temporal_server_that_does_not_answer_is_told():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        environment = {**os.environ, "TEMPORAL_ADDRESS": address}
        argv = [sys.executable, "-m", "paid.stack.temporal_ping", address, "default"]
        pinged = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert (pinged.returncode, pinged.stderr) == (1, "no answer within 5 s")


def test_an_escape_fails_the_examination(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def unsealed(_: SandboxSpec, argv: Sequence[str], *, stdin: bytes, timeout_seconds: float) -> SealedResult:
        done = subprocess.run([sys.executable, *argv[1:]], input=stdin, capture_output=True, timeout=timeout_seconds)
        return SealedResult(done.returncode, done.stdout, done.stderr)

    monkeypatch.setattr(room, "run_sealed", unsealed)
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json")
    findings = findings_of(capsys.readouterr().out)
    assert ended.value.code == 1
    assert findings["seal: tcp"]["is_ok"] is False
    assert findings["seal: tcp"]["detail"].startswith(
        "An agent can connect to a TCP server of the host: connected to 127.0.0.1:"
    )
    assert findings["seal: tcp"]["hint"].startswith("Run no agents on this host until this is mended")
