"""A provider's key is kept with an address that the gateway may call, or not at all."""

import pytest

from accounts.credentials import add_provider_key
from accounts.models import ProviderKey
from paid.lib.addresses import AddressRefused
from paid.lib.tenancy import platform, tenant
from tests.factories.accounts import AccountFactory, UserFactory


@pytest.mark.parametrize("address", ["http://169.254.169.254", "https://127.0.0。1"])
def test_a_refused_address_keeps_no_key(db: None, address: str):
    with platform():
        account, user = AccountFactory(), UserFactory()

    with tenant(account.pk, user.pk), pytest.raises(AddressRefused):
        add_provider_key(account=account, provider="anthropic", name="k", key="sk", actor=user, base_url=address)

    with platform():
        assert not ProviderKey.objects.exists()
