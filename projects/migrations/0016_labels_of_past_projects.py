"""Fills the labels of projects that were there before the triggers."""

from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    # A transaction for each step.
    atomic = False
    dependencies: ClassVar = [("projects", "0015_project_labels")]

    operations: ClassVar = [SqlFile("projects", "labels_of_past_projects")]
