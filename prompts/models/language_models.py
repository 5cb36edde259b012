"""The model registry: models, their dated prices, and who prefers what."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.models import Account
from paid.lib.columns import Changed, Created
from paid.lib.constraints import TenantForeignKey, one_of
from projects.models import Project
from prompts.models.prompts import PromptCategory


class TokenClass(models.TextChoices):
    INPUT = "input", "Input"
    OUTPUT = "output", "Output"
    CACHE_READ = "cache_read", "Cache read"
    CACHE_WRITE = "cache_write", "Cache write"  # kept for five minutes
    CACHE_WRITE_1H = "cache_write_1h", "Cache write, one hour"


class Stance(models.TextChoices):
    PREFER = "prefer", "Prefer"
    REQUIRE = "require", "Require"
    EXCLUDE = "exclude", "Exclude"


class LanguageModel(Changed):
    """A model that agents may use. The registry of account 0 is everybody's; an account may add its own."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="language_models")
    provider = models.CharField(max_length=50)
    model_id = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    context_window = models.PositiveIntegerField(default=0, db_default=0)
    max_output_tokens = models.PositiveIntegerField(default=0, db_default=0)
    abilities = ArrayField(
        models.CharField(max_length=50),
        default=list,
        db_default=models.Value([], output_field=ArrayField(models.CharField(max_length=50))),
        blank=True,
    )
    agents = ArrayField(
        models.CharField(max_length=50),
        default=list,
        db_default=models.Value([], output_field=ArrayField(models.CharField(max_length=50))),
        blank=True,
    )
    is_scripted = models.BooleanField(default=False, db_default=False)
    is_active = models.BooleanField(default=True, db_default=True)

    class Meta:
        db_table = "language_models"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "id"], name="language_models_tenant_key"),
            models.UniqueConstraint(fields=["account", "provider", "model_id"], name="language_models_model_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.provider}/{self.model_id}"


class ModelPrice(Created):
    """USD per million tokens of one class from a date on. Never changed: a new price is a new row."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    language_model = models.ForeignKey(
        LanguageModel, on_delete=models.CASCADE, db_constraint=False, related_name="prices"
    )
    token_class = models.CharField(max_length=20, choices=TokenClass.choices)
    usd_per_million = models.DecimalField(max_digits=12, decimal_places=6)
    # Some providers charge more for a call whose input passes a threshold; 0 is the base price.
    threshold_tokens = models.PositiveIntegerField(default=0, db_default=0)
    starts_at = models.DateTimeField()
    # Where it comes from: `sync_models` names its source, and never puts a price before one that a person entered.
    source = models.CharField(max_length=50, blank=True, default="", db_default="")

    class Meta:
        db_table = "model_prices"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["language_model", "token_class", "threshold_tokens", "starts_at"],
                name="model_prices_start_unique",
            ),
            models.CheckConstraint(condition=Q(usd_per_million__gte=0), name="model_prices_not_negative"),
            one_of("token_class", TokenClass, "model_prices_token_class_known"),
            TenantForeignKey(
                column="language_model_id",
                to="language_models",
                name="model_prices_model_fk",
                on_delete="CASCADE",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.language_model_id} {self.token_class} {self.usd_per_million}"


class ModelPreference(Changed):
    """Prefer, require or exclude a model or a provider, for an account or one project, for a category or all."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="model_preferences")
    project = models.ForeignKey(
        Project,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="model_preferences",
    )
    category = models.CharField(max_length=20, choices=PromptCategory.choices, blank=True, default="", db_default="")
    stance = models.CharField(max_length=20, choices=Stance.choices)
    provider = models.CharField(max_length=50, blank=True, default="", db_default="")
    model_account_id = models.BigIntegerField(null=True, blank=True)
    language_model = models.ForeignKey(
        LanguageModel, null=True, blank=True, on_delete=models.CASCADE, db_constraint=False, related_name="+"
    )
    position = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "model_preferences"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "project", "category", "stance", "provider", "language_model"],
                nulls_distinct=False,
                name="model_preferences_unique",
            ),
            one_of("stance", Stance, "model_preferences_stance_known"),
            models.CheckConstraint(
                condition=(~Q(provider="") & Q(language_model__isnull=True))
                | (Q(provider="") & Q(language_model__isnull=False) & Q(model_account_id__isnull=False)),
                name="model_preferences_one_target",
            ),
            models.CheckConstraint(
                condition=Q(model_account_id__isnull=True)
                | Q(model_account_id=0)
                | Q(model_account_id=models.F("account_id")),
                name="model_preferences_model_account",
            ),
            TenantForeignKey(
                column="project_id", to="projects", name="model_preferences_project_fk", on_delete="CASCADE"
            ),
            TenantForeignKey(
                account_column="model_account_id",
                column="language_model_id",
                to="language_models",
                name="model_preferences_model_fk",
                on_delete="CASCADE",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stance} {self.provider or self.language_model_id}"
