"""The contexts give an identity and take it back exactly, on a real server."""

from contextlib import ExitStack, suppress
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from accounts.models import Account, Membership
from paid.lib.tenancy import platform, platform_already, signed_in, tenant
from tests.factories import account_with_owner
from tests.factories.accounts import AccountFactory, UserFactory

NOBODY = ("paid_tenant", "", "")


def identity() -> tuple[str, str, str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user::text, coalesce(current_setting('paid.account_id', true), ''),"
            " coalesce(current_setting('paid.user_id', true), '')"
        )
        role, account_id, user_id = cursor.fetchone()
    return role, account_id, user_id


def fail_in_the_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM a_table_that_does_not_exist")


@pytest.mark.django_db
def test_each_context_is_who_it_says_and_gives_back_who_was_before():
    assert identity() == NOBODY
    with tenant(7, 8):
        assert identity() == ("paid_tenant", "7", "8")
        with platform():
            assert identity() == ("paid_platform", "", "")
            with signed_in(9):
                assert identity() == ("paid_tenant", "", "9")
            assert identity() == ("paid_platform", "", "")
        assert identity() == ("paid_tenant", "7", "8")
    assert identity() == NOBODY


@pytest.mark.django_db
def test_what_is_the_platform_already_goes_on_and_anybody_else_becomes_it(django_assert_num_queries):
    with platform():
        with django_assert_num_queries(0), platform_already():
            pass
        with tenant(7, 8):
            with platform_already():
                assert identity() == ("paid_platform", "", "")
            assert identity() == ("paid_tenant", "7", "8")
        with pytest.raises(ValueError, match="on the way"), tenant(7, 8):
            raise ValueError("on the way")
        with django_assert_num_queries(0), platform_already():
            pass
        assert identity() == ("paid_platform", "", "")
    with platform_already():
        assert identity() == ("paid_platform", "", "")
    assert identity() == NOBODY


@pytest.mark.django_db
def test_an_exception_gives_the_former_identity_back():
    with tenant(7, 8):
        with pytest.raises(ValueError, match="on the way"), platform():
            raise ValueError("on the way")
        assert identity() == ("paid_tenant", "7", "8")


@pytest.mark.django_db
def test_a_database_error_gives_the_former_identity_back():
    with tenant(7, 8):
        with pytest.raises(DatabaseError), platform():
            fail_in_the_database()
        assert identity() == ("paid_tenant", "7", "8")


@pytest.mark.django_db
def test_an_error_that_a_savepoint_healed_does_not_keep_the_platform_open():
    with tenant(7, 8):
        with platform():
            with pytest.raises(DatabaseError), transaction.atomic():
                fail_in_the_database()
            assert identity() == ("paid_platform", "", "")
        assert identity() == ("paid_tenant", "7", "8")


@pytest.mark.django_db
def test_a_context_that_is_marked_for_rollback_gives_the_former_identity_back():
    with tenant(7, 8):
        with platform():
            transaction.set_rollback(True)
        assert identity() == ("paid_tenant", "7", "8")


def swallow_an_error() -> None:
    with platform(), suppress(DatabaseError):
        fail_in_the_database()


@pytest.mark.django_db
def test_an_error_that_was_swallowed_without_a_savepoint_is_raised_at_the_end():
    with pytest.raises(DatabaseError, match="transaction is aborted"):
        swallow_an_error()
    assert identity() == NOBODY


@pytest.mark.django_db(transaction=True)
def test_the_outermost_context_leaves_nothing_on_any_connection_of_the_pool():
    with platform():
        assert identity() == ("paid_platform", "", "")
    with tenant(7, 8), suppress(DatabaseError), platform():
        fail_in_the_database()
    connection.close()
    pool: Any = connection.pool  # type: ignore[attr-defined]
    with ExitStack() as borrowed:
        identities = [
            borrowed.enter_context(pool.connection())
            .execute("SELECT current_user::text, coalesce(current_setting('paid.account_id', true), '')")
            .fetchone()
            for _ in range(pool.get_stats()["pool_size"])
        ]
    assert set(identities) == {("paid_tenant", "")}


def create_and_fail(slug: str) -> None:
    with platform():
        Account.objects.create(name="Lost", slug=slug)
        raise ValueError("on the way")


@pytest.mark.django_db(transaction=True)
def test_a_context_commits_and_an_exception_rolls_back():
    with platform():
        Account.objects.create(name="Kept", slug="kept")
    with pytest.raises(ValueError, match="on the way"):
        create_and_fail("lost")
    with platform():
        assert list(Account.objects.exclude(pk=0).values_list("slug", flat=True)) == ["kept"]


@pytest.mark.django_db
def test_a_tenant_sees_its_account_and_the_global_one():
    account = AccountFactory()
    AccountFactory()
    with tenant(account.pk):
        assert set(Account.objects.values_list("pk", flat=True)) == {0, account.pk}


@pytest.mark.django_db
def test_a_person_without_an_account_sees_their_own_memberships_and_accounts():
    account, owner = account_with_owner()
    account_with_owner()
    with signed_in(owner.pk):
        assert [membership.account for membership in Membership.objects.select_related("account")] == [account]
        assert list(Account.objects.all()) == [account]


@pytest.mark.django_db
def test_people_of_an_account_see_each_other_and_change_only_themselves():
    account, owner = account_with_owner()
    stranger = UserFactory()
    with tenant(account.pk, owner.pk):
        fellow = account.memberships.get().user
        assert fellow == owner
        assert type(owner).objects.filter(pk=owner.pk).update(name="Alice") == 1
        assert type(owner).objects.filter(pk=stranger.pk).update(name="Mallory") == 0


@pytest.mark.django_db
def test_a_tenant_cannot_write_into_another_account():
    mine, theirs = AccountFactory(), AccountFactory()
    user = UserFactory()
    with pytest.raises(DatabaseError, match="row-level security"), tenant(mine.pk):
        Membership.objects.create(account=theirs, user=user)
    with platform():
        assert not Membership.objects.filter(account=theirs).exists()
