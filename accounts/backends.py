"""Sign-in by e-mail and password."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts.models import User
from accounts.throttle import SignInAttempt
from paid.lib.tenancy import platform, platform_already


class TooManyAttempts(ValidationError):
    """Too many attempts to sign in. Wait a quarter of an hour, then try again."""

    def __init__(self) -> None:
        super().__init__(self.__doc__ or "", code="too_many_attempts")


class EmailBackend(ModelBackend):
    """Who signs in has no tenant yet: users are read as the platform, one by e-mail or id.

    Too many attempts raise TooManyAttempts, which ends the sign-in before the password is looked at.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        attempt = SignInAttempt(username or "", request.META.get("REMOTE_ADDR", "")) if request else None
        if attempt is not None and attempt.is_one_too_many():
            raise TooManyAttempts
        with platform():
            user = super().authenticate(request, username=username, password=password, **kwargs)
        if attempt is not None and user is not None:
            attempt.succeeded()
        return user if isinstance(user, User) else None

    def get_user(self, user_id: int) -> User | None:
        with platform_already():
            user = super().get_user(user_id)
        return user if isinstance(user, User) else None
