"""Accounts are made with an owner, and what people do is written down."""

import pytest
from django.db import IntegrityError

from accounts.models import Account, AuditEvent, Membership, Role
from accounts.operations import create_account, record_audit_event
from paid.lib.tenancy import platform, tenant
from tests.factories import account_with_owner
from tests.factories.accounts import AccountFactory, UserFactory


@pytest.mark.django_db
def test_an_account_is_made_with_its_first_owner():
    user = UserFactory()
    account = create_account(name="Acme", slug="acme", owner=user)
    with tenant(account.pk, user.pk):
        assert [(one.user_id, one.role) for one in Membership.objects.all()] == [(user.pk, Role.OWNER)]
        assert Account.objects.exclude(pk=0).get().slug == "acme"


@pytest.mark.django_db
@pytest.mark.parametrize("slug", ["taken", "Upper", "-dash", "", "global"])
def test_a_bad_slug_makes_neither_account_nor_membership(slug):
    AccountFactory(slug="taken")
    user = UserFactory()
    with pytest.raises(IntegrityError):
        create_account(name="Acme", slug=slug, owner=user)
    with platform():
        assert Account.objects.exclude(pk=0).count() == 1
        assert not Membership.objects.exists()


@pytest.mark.django_db
def test_an_audit_event_says_who_did_what_and_only_its_tenant_reads_it():
    account, owner = account_with_owner()
    with tenant(account.pk, owner.pk):
        record_audit_event(
            account_id=account.pk,
            actor=owner,
            action="prompt.promote",
            object_type="prompt",
            object_id=12,
            data={"version": 3},
        )
        event = AuditEvent.objects.get()
    said = (event.actor_user_id, event.actor, event.action, event.object_type, event.object_id, event.data)
    assert said == (owner.pk, owner.name, "prompt.promote", "prompt", "12", {"version": 3})
    with tenant(AccountFactory().pk):
        assert not AuditEvent.objects.exists()
