from importlib import import_module

from django.apps import AppConfig, apps
from django.contrib import admin
from django.contrib.admin.apps import AdminConfig


class PaidConfig(AppConfig):
    name = "paid"

    def ready(self) -> None:
        import_module("paid.checks")  # registers the system checks


class PaidAdminConfig(AdminConfig):
    """Django's admin with our site as the one that models are registered with."""

    default_site = "paid.admin.PaidAdminSite"

    def ready(self) -> None:
        super().ready()
        # Roles are memberships of accounts: the groups of Django's own permissions mean nothing here.
        admin.site.unregister(apps.get_model("auth", "Group"))
