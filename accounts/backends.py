"""Sign-in by e-mail and password."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.models import User
from paid.lib.tenancy import platform


class EmailBackend(ModelBackend):
    """Who signs in has no tenant yet: users are read as the platform, one by e-mail or id."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        with platform():
            user = super().authenticate(request, username=username, password=password, **kwargs)
        return user if isinstance(user, User) else None

    def get_user(self, user_id: int) -> User | None:
        with platform():
            user = super().get_user(user_id)
        return user if isinstance(user, User) else None
