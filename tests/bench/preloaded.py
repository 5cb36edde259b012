"""Imported once by the server process that a crowd is forked from: Django is ready, no connection is open."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paid.settings")
django.setup()
