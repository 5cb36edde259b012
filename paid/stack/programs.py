"""The processes of Paid on one host, and in which order they are stopped."""

import warnings
from pathlib import Path

import uvicorn
from django.conf import settings
from django.core.management import execute_from_command_line

import metrics.gateway.server  # noqa: F401 - these three are what children import: here once, for all of them
import paid.urls  # noqa: F401
import workflows.worker  # noqa: F401
from paid.celery import app as celery_app
from paid.stack.process import Program

# Whoever starts work goes first, then whoever carries it, then what running agents talk to.
STOP_WEB, STOP_WORKERS, STOP_GATEWAY = 1, 2, 3


def _manage(name: str, *arguments: str, stop_stage: int) -> Program:
    argv = ("manage.py", *arguments)
    return Program(name, argv, stop_stage, lambda: execute_from_command_line(list(argv)))


def gateway() -> Program:
    return _manage("gateway", "gateway", stop_stage=STOP_GATEWAY)


def scripted_model() -> Program:
    return _manage("model", "scripted_model", stop_stage=STOP_GATEWAY)


def temporal_worker(queue: str) -> Program:
    return _manage(queue, "temporal_worker", "--queue", queue, stop_stage=STOP_WORKERS)


def web(port: int) -> Program:
    def main() -> None:
        # Outside production static files are found in the apps; WhiteNoise misses the collected ones for nothing.
        warnings.filterwarnings("ignore", message="No directory at")
        uvicorn.run(
            "paid.asgi:application",
            host="127.0.0.1",
            port=port,
            log_level="warning",
            access_log=False,
            forwarded_allow_ips=settings.FORWARDED_ALLOW_IPS,
            # Live streams stay open as long as the page: do not wait for them when stopping.
            timeout_graceful_shutdown=2,
        )

    return Program("web", ("uvicorn", "paid.asgi:application", "--port", str(port)), STOP_WEB, main)


def celery(state_directory: Path) -> Program:
    """Worker and beat in one: beat is forked by the worker."""
    schedule = str(state_directory / "celerybeat-schedule")
    argv = ["--quiet", "worker", "--beat", "--schedule", schedule, "--pool", "threads", "--concurrency", "2"]
    argv += ["--loglevel", "WARNING", "--without-gossip", "--without-mingle"]

    def main() -> None:
        # It warns of root even where no message can carry code (JSON only).
        warnings.filterwarnings("ignore", message="You're running the worker with superuser")
        celery_app.start(argv)

    return Program("celery", ("celery", "-A", "paid", *argv), STOP_WORKERS, main)


def engine() -> tuple[Program, ...]:
    """What carries a run from its outbox row to its pull request."""
    return (temporal_worker("control"), temporal_worker("agents"), gateway(), scripted_model())


def everything(port: int, state_directory: Path) -> tuple[Program, ...]:
    # The slowest to start first.
    return (web(port), *engine(), celery(state_directory))
