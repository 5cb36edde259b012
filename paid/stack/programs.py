"""The processes of Paid on one host, and in which order they are stopped."""

import sys
from pathlib import Path

from paid.stack.supervisor import Program

# Whoever starts work goes first, then whoever carries it, then what running agents talk to.
STOP_WEB, STOP_WORKERS, STOP_GATEWAY = 1, 2, 3


def _manage(name: str, *arguments: str, stop_stage: int) -> Program:
    return Program(name, (sys.executable, "-u", "manage.py", *arguments), stop_stage)


def gateway() -> Program:
    return _manage("gateway", "gateway", stop_stage=STOP_GATEWAY)


def scripted_model() -> Program:
    return _manage("model", "scripted_model", stop_stage=STOP_GATEWAY)


def temporal_worker(queue: str) -> Program:
    return _manage(queue, "temporal_worker", "--queue", queue, stop_stage=STOP_WORKERS)


def web(port: int) -> Program:
    options: tuple[str, ...] = ("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-access-log")
    # Live streams stay open as long as the page: do not wait for them when stopping.
    options += ("--timeout-graceful-shutdown", "2")
    # Outside production static files are found in the apps; WhiteNoise misses the collected ones for nothing.
    python = (sys.executable, "-u", "-W", "ignore:No directory at")
    argv = (*python, "-m", "uvicorn", "paid.asgi:application", *options)
    return Program("web", argv, STOP_WEB)


def celery(state_directory: Path) -> Program:
    """Worker and beat in one: beat is forked by the worker, which saves a second start of Django."""
    schedule = str(state_directory / "celerybeat-schedule")
    options: tuple[str, ...] = ("--beat", "--schedule", schedule, "--pool", "threads", "--concurrency", "2")
    options += ("--loglevel", "WARNING", "--without-gossip", "--without-mingle")
    # It warns of root even where no message can carry code (JSON only); the sandbox is what root must not miss.
    python = (sys.executable, "-u", "-W", "ignore:You're running the worker with superuser")
    return Program("celery", (*python, "-m", "celery", "--quiet", "-A", "paid", "worker", *options), STOP_WORKERS)


def engine() -> tuple[Program, ...]:
    """What carries a run from its outbox row to its pull request."""
    return (temporal_worker("control"), temporal_worker("agents"), gateway(), scripted_model())


def everything(port: int, state_directory: Path) -> tuple[Program, ...]:
    # The slowest to start first.
    return (web(port), *engine(), celery(state_directory))
