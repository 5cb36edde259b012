"""The Celery application: small periodic work. Apps add their tasks' times to `beat_schedule`."""

import os

from celery import Celery
from celery.schedules import crontab
from celery.signals import beat_init, worker_init

from paid.lib.pulse import Pulse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paid.settings")

app = Celery("paid")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    # Four times a day, though a week of days is made ahead: a host that was asleep catches up soon.
    "keep-partitions": {"task": "paid.tasks.keep_partitions", "schedule": crontab(minute="20", hour="*/6")},
    # A line of a log is found by index some seconds after it was written. Beats that nobody heard are not made up for.
    "index-logs": {"task": "agent_runs.tasks.index_logs", "schedule": 5.0, "options": {"expires": 5.0}},
    "apply-retention": {"task": "paid.tasks.apply_retention", "schedule": crontab(minute="40", hour="3")},
    "take-quality-signals": {"task": "metrics.tasks.take_quality_signals", "schedule": 60.0},
    "take-all-quality-signals": {
        "task": "metrics.tasks.take_all_quality_signals",
        "schedule": crontab(minute="10", hour="4"),
    },
    # Any number of looks is valid, so a reading is never older than a minute.
    "look-at-experiments": {"task": "metrics.tasks.look_at_experiments", "schedule": 60.0},
    "fold-rollups": {"task": "metrics.tasks.fold_rollups", "schedule": crontab(minute="10", hour="4")},
    # After retention, and when few people work: it reads the whole ledger.
    "prove-ledger": {"task": "metrics.tasks.prove_ledger", "schedule": crontab(minute="50", hour="4")},
    "tell-budget-alerts": {"task": "metrics.tasks.tell_budget_alerts", "schedule": 60.0},
    "return-escrows": {"task": "metrics.tasks.return_escrows", "schedule": 60.0},
}


@worker_init.connect
def _worker_lives(**_kwargs: object) -> None:
    Pulse("celery").start()


@beat_init.connect
def _beat_lives(**_kwargs: object) -> None:
    """Only where beat is a program of its own: `make up` runs it inside the worker, as a fork that says nothing."""
    Pulse("beat").start()
