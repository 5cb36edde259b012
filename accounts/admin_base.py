"""What every app's admin stands on. The admin runs as the platform, for the host's staff only (paid.middleware)."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest

from accounts.models import User
from accounts.operations import record_audit_event
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID


def actor_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - the admin lets in nobody else
    return request.user


class TenantForm(forms.ModelForm):
    """Refuses a row that points into another account, before the database does at the end of the transaction."""

    global_fields: ClassVar[tuple[str, ...]] = ("language_model",)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        account = cleaned.get("account") or getattr(self.instance, "account", None)
        for name, value in list(cleaned.items()):  # an error takes the field out
            owner_id = getattr(value, "account_id", None) if isinstance(value, models.Model) else None
            allowed = {account.pk if account else None}
            if name in self.global_fields:
                allowed.add(GLOBAL_ACCOUNT_ID)
            if owner_id is not None and owner_id not in allowed:
                self.add_error(name, ValidationError("This belongs to another account."))
        return cleaned


class ReadOnlyAdmin(admin.ModelAdmin):
    """To look at. Whatever writes these rows does so by operations and functions of the database."""

    actions: tuple[str, ...] | None = None
    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AuditedAdmin(admin.ModelAdmin):
    """Rows of an account that are only settings: saved as they are, with an event in the account's audit log."""

    form = TenantForm
    show_full_result_count = False
    list_per_page = 50

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self.audit(request, obj, "changed" if change else "created", {"fields": form.changed_data})

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.audit(request, obj, "deleted", {"was": str(obj)})
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        for obj in queryset:
            self.delete_model(request, obj)

    def audit(self, request: HttpRequest, obj: Any, verb: str, data: Mapping[str, object]) -> None:
        kind = self.opts.model_name
        record_audit_event(
            account_id=obj.account_id,
            actor=actor_of(request),
            action=f"{kind}.{verb}",
            object_type=str(kind),
            object_id=obj.pk,
            data={"by": "admin", **data},
        )
