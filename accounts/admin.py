"""Accounts, people and keys, for the host's staff."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.auth.forms import ReadOnlyPasswordHashField
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin_base import AuditedAdmin, ReadOnlyAdmin, TenantForm, actor_of
from accounts.api_tokens import revoke_api_token
from accounts.models import Account, ApiToken, Membership, ProviderKey, Role, User
from accounts.operations import create_account, record_audit_event
from paid.lib.addresses import AddressRefused, refuse_inner_address
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID


class NewAccountForm(forms.ModelForm):
    """An account always begins with an owner."""

    owner = forms.ModelChoiceField(User.objects.filter(is_active=True))

    class Meta:
        model = Account
        fields = ("name", "slug")


class MembershipFormSet(forms.BaseInlineFormSet):
    """The database keeps the last owner too, but only says so at the end of the transaction."""

    def clean(self) -> None:
        super().clean()
        kept = [form.cleaned_data for form in self.forms if form.is_valid() and form.cleaned_data]
        roles = [data["role"] for data in kept if not data.get("DELETE")]
        if self.initial_form_count() and Role.OWNER not in roles:
            raise ValidationError("An account needs an owner. Make somebody else an owner first.")


class MembershipInline(admin.TabularInline):
    model = Membership
    formset = MembershipFormSet
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin):
    list_display = ("name", "slug", "plan", "billing_email", "created_at")
    list_filter = ("plan",)
    search_fields = ("name", "slug")
    inlines: ClassVar = [MembershipInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        return super().get_queryset(request).exclude(pk=GLOBAL_ACCOUNT_ID)

    def get_form(self, request: HttpRequest, obj: Account | None = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **kwargs) if obj else NewAccountForm

    def get_fieldsets(self, request: HttpRequest, obj: Account | None = None) -> Any:
        fields = ("name", "slug", "plan", "billing_email", "settings") if obj else ("name", "slug", "owner")
        return ((None, {"fields": fields}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Account | None = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()  # addresses hold it

    def get_inlines(self, request: HttpRequest, obj: Account | None) -> Any:
        return self.inlines if obj else []

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=["name", "plan", "billing_email", "settings"])
        else:
            made = create_account(name=obj.name, slug=obj.slug, owner=form.cleaned_data["owner"])
            obj.pk = made.pk
        self._audit(request, obj.pk, "account.changed" if change else "account.created", form.changed_data)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)
        for verb, rows in (
            ("added", formset.new_objects),
            ("changed", [row for row, _ in formset.changed_objects]),
            ("removed", formset.deleted_objects),
        ):
            for row in rows:
                self._audit(request, row.account_id, f"membership.{verb}", [f"user {row.user_id}: {row.role}"])

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # an account is erased by the owner-only path, not from here

    def _audit(self, request: HttpRequest, account_id: int, action: str, fields: list[str]) -> None:
        record_audit_event(
            account_id=account_id,
            actor=actor_of(request),
            action=action,
            object_type="account",
            object_id=account_id,
            data={"by": "admin", "fields": fields},
        )


class UserForm(forms.ModelForm):
    """A new person gets a password; for an existing one the field sets a new one."""

    new_password = forms.CharField(
        required=False, strip=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )
    password = ReadOnlyPasswordHashField(required=False)

    class Meta:
        model = User
        fields = ("email", "name", "is_active", "is_staff")

    def clean_email(self) -> str:
        email: str = User.objects.normalize_email(self.cleaned_data["email"])
        if User.objects.filter(email__iexact=email).exclude(pk=self.instance.pk).exists():
            raise ValidationError("Somebody has this address already.")
        return email

    def clean_new_password(self) -> str:
        password: str = self.cleaned_data["new_password"]
        if not password and not self.instance.pk:
            raise ValidationError("A new person needs a password.")
        if password:
            validate_password(password, self.instance)
        return password


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    form = UserForm
    fields = ("email", "name", "is_active", "is_staff", "new_password", "last_login", "created_at")
    readonly_fields = ("last_login", "created_at")
    list_display = ("email", "name", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "name")
    ordering = ("email",)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if form.cleaned_data["new_password"]:
            obj.set_password(form.cleaned_data["new_password"])
        obj.save()
        record_audit_event(
            account_id=GLOBAL_ACCOUNT_ID,  # a person belongs to no single account
            actor=actor_of(request),
            action="user.changed" if change else "user.created",
            object_type="user",
            object_id=obj.pk,
            data={"by": "admin", "fields": form.changed_data},
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # switched off instead: what they did stays theirs


class ProviderKeyForm(TenantForm):
    """The key is asked for once and never shown again."""

    secret = forms.CharField(
        label="Key", strip=True, widget=forms.PasswordInput(attrs={"autocomplete": "off"}), max_length=1000
    )

    base_url = forms.URLField(required=False, assume_scheme="https", help_text="Only where it is not the usual one.")

    class Meta:
        model = ProviderKey
        fields = ("account", "provider", "name", "base_url")

    def clean_base_url(self) -> str:
        address: str = self.cleaned_data["base_url"]
        if address:
            try:
                refuse_inner_address(address, unless_in="PROVIDER_HOSTS")
            except AddressRefused as error:
                raise forms.ValidationError(str(error)) from error
        return address

    def save(self, commit: bool = True) -> Any:
        self.instance.key = self.cleaned_data["secret"]
        return super().save(commit)


@admin.register(ProviderKey)
class ProviderKeyAdmin(AuditedAdmin):
    """A key of the account `Global` is the host's: it serves every account that has none of its own."""

    form = ProviderKeyForm
    fields = ("account", "provider", "name", "base_url", "secret")
    list_display = ("provider", "name", "account", "base_url", "last_used_at", "revoked_at")
    list_filter = ("provider",)
    search_fields = ("name", "account__name")
    list_select_related = ("account",)
    actions = ("revoke",)

    @admin.action(description="Revoke the selected keys")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ProviderKey]) -> None:
        for key in queryset.filter(revoked_at__isnull=True):
            ProviderKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())
            self.audit(request, key, "revoked", {"provider": key.provider})
        self.message_user(request, "The keys are revoked: the gateway does not use them any more.")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None  # for the list's action; a key itself is replaced, not changed

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Whose programs may ask, and since when they did not. Tokens are made in the account's settings only."""

    exclude = ("digest",)
    list_display = ("name", "hint", "account", "scopes", "created_by", "last_used_at", "expires_at", "revoked_at")
    search_fields = ("name", "hint", "account__name")
    list_select_related = ("account", "created_by")
    actions = ("revoke",)

    @admin.action(description="Revoke the selected tokens")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        for token in queryset:
            revoke_api_token(token=token, actor=actor_of(request))
        self.message_user(request, "The tokens are revoked: whoever sends them is refused.")
