"""What docker-compose.yml promises: nothing public, no secret by default, and start commands that exist."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from django.test import override_settings

from paid import checks
from paid.stack import embedded

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
CONFIGURATION = (ROOT / "temporal-config.yaml").read_text()


def check(directory: Path) -> subprocess.CompletedProcess[str]:
    """bin/check-compose over what is in `directory`; skips where nothing on this machine can read the file.

    Tests bring nothing from the network: Go's modules are those that the command by itself has brought before.
    """
    program, environment = directory / "bin" / "check-compose", os.environ | {"GOPROXY": "off"}
    done = subprocess.run([program], env=environment, capture_output=True, text=True, check=False, timeout=300)
    if "Neither docker compose nor Go is installed" in done.stderr:
        pytest.skip("neither docker compose nor Go is installed")
    if done.returncode and "GOPROXY=off" in done.stderr:
        pytest.skip("docker compose is not installed, and bin/check-compose has not brought Go's modules yet")
    return done


def test_compose_itself_reads_it():
    done = check(ROOT)
    assert (done.returncode, done.stdout) == (0, "docker-compose.yml is valid\n"), done.stderr


def test_the_check_refuses_what_compose_would_refuse(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "bin" / "check-compose", tmp_path / "bin")
    (tmp_path / "docker-compose.yml").write_text(TEXT.replace("    ports:", "    prots:", 1))
    done = check(tmp_path)
    assert done.returncode != 0
    assert "prots" in done.stderr


def test_it_has_every_part_of_the_house():
    parts = {"postgres", "redis", "temporal", "temporal-ui", "migrate", "web", "gateway", "celery", "beat", "backup"}
    assert parts | {"worker-control", "worker-agents"} <= set(SERVICES)
    assert SERVICES["postgres"]["image"] == "postgres:16"


def test_what_is_published_is_published_on_this_machine_only():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"web", "temporal-ui"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_every_secret_is_asked_for_and_none_has_a_default():
    asked = re.findall(r"\$\{(\w+):(.)", TEXT)
    secrets = {(name, operator) for name, operator in asked if re.search("PASSWORD|KEY", name)}
    assert {operator for _, operator in secrets} == {"?"}
    assert {name for name, _ in secrets} == {
        "SECRET_KEY",
        "ENCRYPTION_KEYS",
        "POSTGRES_PASSWORD",
        "PAID_OWNER_PASSWORD",
        "PAID_APP_PASSWORD",
        "PAID_BACKUP_PASSWORD",
        "REDIS_PASSWORD",
        "TEMPORAL_DATABASE_PASSWORD",
    }
    plain = [
        f"{service}.{name}"
        for service, definition in SERVICES.items()
        for name, value in definition.get("environment", {}).items()
        if re.search("PASSWORD|SECRET|_KEY", name) and "${" not in str(value)
    ]
    assert plain == []


def test_the_backup_knows_none_of_the_applications_secrets():
    assert list(SERVICES["backup"]["environment"]) == ["DATABASE_BACKUP_URL"]


def test_only_the_migration_knows_the_owner():
    assert [name for name, one in SERVICES.items() if "DATABASE_OWNER_URL" in one.get("environment", {})] == ["migrate"]


def test_every_address_of_postgresql_is_verified_tls_by_an_authority_that_its_container_has():
    addresses = [
        (service, name, re.sub(r"\$\{[^}]*\}", "secret", value))
        for service, definition in SERVICES.items()
        for name, value in definition.get("environment", {}).items()
        if re.fullmatch("DATABASE_.*URL", name)
    ]
    assert {name for _, name, _ in addresses} == {"DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_BACKUP_URL"}
    for service, name, address in addresses:
        assert address.endswith("@postgres:5432/paid_production?sslmode=verify-full&sslrootcert=/etc/paid/tls/ca.crt")
        assert "ca:/etc/paid/tls:ro" in SERVICES[service]["volumes"]
        with override_settings(PRODUCTION=True, **{name: address}):
            assert [message for message in checks.check_database_tls(None) if name in str(message.msg)] == []
    assert "DATABASE_PLAINTEXT_HOSTS" not in TEXT


def test_temporal_reaches_postgresql_by_verified_tls_too():
    for service, setting in (("temporal", "TEMPORAL_DATABASE_CA_FILE"), ("temporal-schema", "SQL_TLS_CA_FILE")):
        assert SERVICES[service]["environment"][setting] == "/etc/paid/tls/ca.crt"
        assert "ca:/etc/paid/tls:ro" in SERVICES[service]["volumes"]
    assert SERVICES["temporal-schema"]["environment"]["SQL_TLS"] == "true"
    assert CONFIGURATION.count("enableHostVerification: true") == CONFIGURATION.count("pluginName:") == 2
    assert CONFIGURATION.count('caFile: {{ env "TEMPORAL_DATABASE_CA_FILE" | quote }}') == 2


def test_a_private_key_is_seen_by_whom_it_belongs_to():
    mounted = {
        volume: {
            name for name, one in SERVICES.items() if any(v.startswith(f"{volume}:") for v in one.get("volumes", []))
        }
        for volume in ("authority", "server-key")
    }
    assert mounted == {"authority": {"certificates"}, "server-key": {"certificates", "postgres"}}
    assert SERVICES["postgres"]["depends_on"]["certificates"] == {"condition": "service_completed_successfully"}


def test_the_network_gets_in_by_tls_and_password_alone():
    lines = [line.split() for line in (ROOT / "pg_hba.conf").read_text().splitlines() if not line.startswith("#")]
    assert {line[0] for line in lines} == {"local", "hostssl"}
    assert {line[-1] for line in lines} == {"scram-sha-256"}


def test_the_servers_wal_is_archived_as_the_embedded_servers_is():
    command = SERVICES["postgres"]["command"]
    (archive,) = [word.removeprefix("archive_command=") for word in command if word.startswith("archive_command=")]
    wal = "'/var/lib/postgresql/wal'"
    assert archive.replace("$$", "$") == embedded.ARCHIVE_COMMAND.replace("{wal}", wal)
    assert {"archive_mode=on", "archive_timeout=60"} <= set(command)
    assert "wal:/var/lib/postgresql/wal" in SERVICES["postgres"]["volumes"]


@pytest.mark.parametrize("service", sorted(name for name, one in SERVICES.items() if one.get("image") == "paid:local"))
def test_its_start_command_is_one_of_ours(service: str):
    words = " ".join(SERVICES[service].get("command", []))
    named = re.findall(r"manage\.py (\w+)", words)
    assert set(named) <= set(get_commands())
    assert named or "uvicorn paid.asgi:application" in words or words.startswith("celery -A paid ")


def test_server_and_schema_of_temporal_are_of_one_version():
    images = {
        SERVICES[name]["image"].partition(":")[2] for name in ("temporal", "temporal-schema", "temporal-namespace")
    }
    assert len(images) == 1


def test_temporals_configuration_takes_its_password_from_the_environment_and_listens_on_loopback_by_default():
    assert CONFIGURATION.count('password: {{ env "TEMPORAL_DATABASE_PASSWORD" | quote }}') == 2
    assert CONFIGURATION.count("password:") == 2
    assert 'bindOnIP: {{ default "127.0.0.1" (env "TEMPORAL_BIND_IP") }}' in CONFIGURATION
    assert CONFIGURATION.count("pluginName: postgres12") == 2


def test_init_db_makes_every_database_that_is_used():
    made = set(re.findall(r"^  \('(\w+)', ", (ROOT / "init-db.sql").read_text(), re.MULTILINE))
    assert {"paid_development", "paid_test", "paid_production", "temporal", "temporal_visibility"} <= made
    used = {"temporal", "temporal_visibility"} & set(re.findall(r"databaseName: (\w+)", CONFIGURATION))
    assert used == {"temporal", "temporal_visibility"}
