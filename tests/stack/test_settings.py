"""What operators are told about settings is what settings read."""

import re
from pathlib import Path

import pytest
import uvicorn
from django.conf import settings
from django.test import override_settings

from paid import checks

ROOT = Path(settings.BASE_DIR)


def test_the_example_documents_every_setting_and_no_other():
    read = set(re.findall(r"env\.[a-z_]+\(\s*\"([A-Z_]+)\"", (ROOT / "paid" / "settings.py").read_text()))
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


def tls_errors(**addresses: object) -> list[str]:
    local: dict[str, object] = {
        "DATABASE_URL": "postgresql://paid_app@/p",
        "DATABASE_OWNER_URL": "postgresql://paid_owner@/p",
        "DATABASE_BACKUP_URL": "postgresql://paid_backup@/p",
        "DATABASE_REPLICA_URLS": [],
    }
    with override_settings(PRODUCTION=True, **(local | addresses)):
        return [str(message.msg) for message in checks.check_database_tls(None) if message.id == "paid.E011"]


def test_a_database_elsewhere_without_verified_tls_is_an_error_in_production():
    weak = "postgresql://paid_app:secret@db.example.com/p?sslmode=require"
    assert tls_errors(DATABASE_URL=weak, DATABASE_REPLICA_URLS=["postgresql://paid_app@replica/p"]) == [
        "DATABASE_URL reaches db.example.com by sslmode=require in production: anybody on the way may pose as it.",
        "DATABASE_REPLICA_URLS reaches replica by sslmode=prefer in production: anybody on the way may pose as it.",
    ]
    with override_settings(PRODUCTION=False, DATABASE_URL=weak):
        assert checks.check_database_tls(None) == []


@pytest.mark.parametrize("setting", ["DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_BACKUP_URL"])
def test_each_role_is_told_of_its_own_address(setting: str):
    """The backup's role reads the whole server."""
    said = f"{setting} reaches db by sslmode=prefer in production: anybody on the way may pose as it."
    assert tls_errors(**{setting: "postgresql://paid@db/p"}) == [said]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://paid_app@db.example.com/p?sslmode=verify-full&sslrootcert=/ca.pem",
        "postgresql://paid_app@127.0.0.1:5432/p",
        "postgresql://paid_app@%2Frun%2Fpostgresql/p",
        "postgresql://paid_app@postgres:5432/p",
    ],
)
def test_verified_tls_or_nobody_on_the_way_is_no_error(address: str):
    assert tls_errors(DATABASE_URL=address, DATABASE_PLAINTEXT_HOSTS=["postgres"]) == []


async def scheme_seen(proxy: str, allowed: str) -> str:
    """What the application takes the scheme for when `proxy` sends X-Forwarded-Proto: https."""
    seen: list[str] = []

    async def application(scope, receive, send) -> None:
        seen.append(scope["scheme"])

    config = uvicorn.Config(application, forwarded_allow_ips=allowed, lifespan="off", log_config=None)
    config.load()
    headers = [(b"x-forwarded-proto", b"https")]
    await config.loaded_app({"type": "http", "scheme": "http", "client": (proxy, 1), "headers": headers}, None, None)
    return seen[0]


@pytest.mark.parametrize(("proxy", "scheme"), [("10.0.0.7", "https"), ("10.0.0.8", "http")])
async def test_only_the_proxies_that_are_named_say_that_a_request_came_by_tls(proxy: str, scheme: str):
    assert await scheme_seen(proxy, "127.0.0.1,10.0.0.7") == scheme


def test_a_migration_neither_waits_nor_runs_for_ever():
    options = settings.DATABASES["owner"]["OPTIONS"]["options"]
    assert options == "-c lock_timeout=10s -c statement_timeout=3600s"


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


@override_settings(
    PROVIDER_HOSTS=["http://models.lan:8080", "models.lan:port", "10.0.0.7"], ALERT_WEBHOOK_HOSTS=["a/b"]
)
def test_an_allowed_host_that_is_none_is_an_error():
    messages = checks.check_allowed_hosts(None)
    assert [message.id for message in messages] == ["paid.E012"] * 3
    assert "'a/b'" in messages[2].msg
