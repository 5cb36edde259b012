"""What operators are told about settings is what settings read."""

import re
from pathlib import Path

from django.conf import settings
from django.test import override_settings

from paid import checks

ROOT = Path(settings.BASE_DIR)


def test_the_example_documents_every_setting_and_no_other():
    read = set(re.findall(r"env\.[a-z]+\(\s*\"([A-Z_]+)\"", (ROOT / "paid" / "settings.py").read_text()))
    documented = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert documented == read


@override_settings(PRODUCTION=True, SECRET_KEY="development-only-key")
def test_the_development_key_in_production_is_an_error():
    assert [message.id for message in checks.check_secrets(None)] == ["paid.E001"]


@override_settings(ENCRYPTION_KEYS=["a:c2hvcnQ=", "no-colon"])
def test_a_malformed_encryption_key_is_an_error_that_does_not_repeat_the_key():
    messages = checks.check_secrets(None)
    assert [message.id for message in messages] == ["paid.E003", "paid.E003"]
    assert "c2hvcnQ" not in str(messages)


@override_settings(ENCRYPTION_KEYS=[])
def test_an_empty_key_ring_is_an_error():
    assert [message.id for message in checks.check_secrets(None)] == ["paid.E002"]


@override_settings(
    DATABASE_URL="postgresql://paid_owner@db/paid_production",
    DATABASE_OWNER_URL="postgresql://paid_owner@db/paid_production",
)
def test_one_role_for_both_addresses_is_an_error():
    assert [message.id for message in checks.check_databases(None)] == ["paid.E004"]


@override_settings(GATEWAY_SOCKET=Path("/tmp") / ("x" * 103))
def test_a_socket_path_longer_than_the_system_allows_is_an_error():
    assert [message.id for message in checks.check_gateway_socket(None)] == ["paid.E005"]


@override_settings(GATEWAY_SOCKET=Path("/tmp") / ("x" * 102))
def test_the_longest_socket_path_that_the_system_allows_is_no_error():
    assert checks.check_gateway_socket(None) == []


@override_settings(PUBLIC_URL="https://paid.example.com", ALLOWED_HOSTS=["127.0.0.1"])
def test_a_public_address_that_no_page_would_answer_to_is_an_error():
    assert [message.id for message in checks.check_address(None)] == ["paid.E007"]


@override_settings(PUBLIC_URL="https://paid.example.com", ALLOWED_HOSTS=[".example.com"])
def test_a_leading_dot_allows_the_hosts_below():
    assert checks.check_address(None) == []
