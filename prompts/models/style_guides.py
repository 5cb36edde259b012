"""Style guides: what a project's code should look like, told to the agent."""

from typing import ClassVar

from django.db import models

from accounts.models import Account
from paid.lib.columns import Changed
from paid.lib.constraints import TenantForeignKey
from projects.models import Project


class StyleGuide(Changed):
    """Raw text as people wrote it, and the compressed text that is sent. The nearest scope wins."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="style_guides")
    project = models.ForeignKey(
        Project,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="style_guides",
    )
    name = models.CharField(max_length=200)
    language = models.CharField(max_length=50, blank=True, default="", db_default="")
    raw_text = models.TextField()
    compressed_text = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "style_guides"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "project", "language", "name"],
                nulls_distinct=False,
                name="style_guides_name_unique",
            ),
            TenantForeignKey(column="project_id", to="projects", name="style_guides_project_fk", on_delete="CASCADE"),
        ]

    def __str__(self) -> str:
        return self.name
