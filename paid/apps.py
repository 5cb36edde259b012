from importlib import import_module

from django.apps import AppConfig


class PaidConfig(AppConfig):
    name = "paid"

    def ready(self) -> None:
        import_module("paid.checks")  # registers the system checks
