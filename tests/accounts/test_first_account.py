"""The first login of an installation, made by its operator."""

import io

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Membership, Role, User
from paid.lib.tenancy import platform

pytestmark = pytest.mark.django_db


def open_first_account(monkeypatch: pytest.MonkeyPatch, password: str) -> str:
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    out = io.StringIO()
    call_command("open_first_account", "ada@example.com", "--name", "Engines", "--slug", "engines", stdout=out)
    return out.getvalue()


def test_it_makes_staff_of_the_host_who_owns_the_first_account(monkeypatch: pytest.MonkeyPatch):
    assert open_first_account(monkeypatch, "analytical-engine-1843") == "ada@example.com may sign in.\n"
    with platform():
        membership = Membership.objects.select_related("user", "account").get()
    assert (membership.account.slug, membership.role) == ("engines", Role.OWNER)
    assert membership.user.is_staff
    assert membership.user.check_password("analytical-engine-1843")


def test_a_second_first_account_is_refused(monkeypatch: pytest.MonkeyPatch):
    open_first_account(monkeypatch, "analytical-engine-1843")
    with pytest.raises(CommandError, match="There is a user already"):
        open_first_account(monkeypatch, "difference-engine-1822")
    with platform():
        assert User.objects.count() == 1


def test_a_weak_password_is_refused(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(CommandError, match="too short"):
        open_first_account(monkeypatch, "short")
    with platform():
        assert not User.objects.exists()
