"""Guessing passwords at the door."""

from uuid import uuid4

import pytest
from django.test import Client

from accounts.models import User
from accounts.throttle import ATTEMPTS_OF_ADDRESS, ATTEMPTS_OF_PAIR, SignInAttempt
from paid.lib.tenancy import platform

PASSWORD = "correct horse battery"
TOO_MANY = "Too many attempts to sign in."


@pytest.fixture(autouse=True)
def cheap_hashes(settings):
    """A hundred guesses by Argon2 take a minute; what is tested here is how many are looked at."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def email(db: None) -> str:
    """A new one each time: the counts outlive a test."""
    address = f"{uuid4().hex}@example.com"
    with platform():
        User.objects.create_user(address, PASSWORD)
    return address


def sign_in(email: str, password: str, host: str) -> tuple[bool, bool]:
    """Whether it worked, and whether the page said that there were too many attempts."""
    answer = Client(REMOTE_ADDR=host).post("/sign-in/", {"username": email, "password": password})
    return answer.status_code == 302, TOO_MANY in answer.content.decode()


def new_host() -> str:
    number = uuid4().hex
    return f"2001:db8::{number[:4]}:{number[4:8]}:{number[8:12]}"


def test_the_right_password_no_longer_opens_after_too_many_wrong_ones(email: str):
    host = new_host()
    wrong = [sign_in(email, f"guess {number}", host) for number in range(ATTEMPTS_OF_PAIR)]

    assert wrong == [(False, False)] * ATTEMPTS_OF_PAIR
    assert sign_in(email, PASSWORD, host) == (False, True)
    assert sign_in(email.upper(), PASSWORD, host) == (False, True)


def test_a_guesser_does_not_lock_the_person_out_elsewhere(email: str):
    host = new_host()
    for number in range(ATTEMPTS_OF_PAIR + 1):
        sign_in(email, f"guess {number}", host)

    assert sign_in(email, PASSWORD, new_host()) == (True, False)


def test_a_sign_in_that_works_begins_the_count_anew(email: str):
    host = new_host()
    for _ in range(3):
        for number in range(ATTEMPTS_OF_PAIR - 1):
            sign_in(email, f"guess {number}", host)
        assert sign_in(email, PASSWORD, host) == (True, False)


def test_one_address_cannot_try_one_password_on_everybody():
    host = new_host()
    tried = [SignInAttempt(f"{uuid4().hex}@example.com", host).is_one_too_many() for _ in range(ATTEMPTS_OF_ADDRESS)]

    assert not any(tried)
    assert SignInAttempt("somebody@example.com", host).is_one_too_many()


def test_an_unknown_address_is_answered_like_a_known_one(email: str):
    host, stranger = new_host(), f"{uuid4().hex}@example.com"
    known = [sign_in(email, "guess", host) for _ in range(ATTEMPTS_OF_PAIR + 1)]
    unknown = [sign_in(stranger, "guess", host) for _ in range(ATTEMPTS_OF_PAIR + 1)]

    assert known == unknown


def test_nobody_is_locked_out_while_the_cache_is_away(email: str, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}
    }

    assert [sign_in(email, PASSWORD, new_host()) for _ in range(2)] == [(True, False)] * 2
