"""The Celery application: small periodic work. Apps add their tasks' times to `beat_schedule`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paid.settings")

app = Celery("paid")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {}
