"""Rows for tests, one module per app. All of them are written as the platform."""

from tests.factories.accounts import account_with_owner

__all__ = ["account_with_owner"]
