"""Database sessions, read and written as the platform: a session exists before any tenant is known."""

from typing import Any

from django.contrib.sessions.backends import db

from paid.lib.tenancy import platform, platform_already


class SessionStore(db.SessionStore):
    def load(self) -> dict[str, Any]:
        with platform_already():
            return super().load()

    def exists(self, session_key: str) -> bool:
        with platform():
            return super().exists(session_key)

    def save(self, must_create: bool = False) -> None:
        with platform():
            super().save(must_create=must_create)

    def delete(self, session_key: str | None = None) -> None:
        with platform():
            super().delete(session_key)

    @classmethod
    def clear_expired(cls) -> None:
        with platform():
            super().clear_expired()
