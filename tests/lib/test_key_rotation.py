"""Secrets move to the newest key while people save them, and nothing is lost on the way."""

import base64
import json
import threading
import time
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction

from accounts.models import GithubToken, ProviderKey
from paid.lib import key_rotation
from paid.lib.encryption import EncryptionError, key_id_of
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID, platform
from projects.models import Project
from tests.factories.accounts import GithubTokenFactory, ProviderKeyFactory
from tests.factories.projects import ProjectFactory

OLD, NEW = ("old", base64.b64encode(b"o" * 32).decode()), ("new", base64.b64encode(b"n" * 32).decode())
PLACES = {"github_tokens.token", "provider_keys.key", "projects.webhook_secret"}


def use_keys(settings, *keys: tuple[str, str]) -> None:
    settings.ENCRYPTION_KEYS = [f"{key_id}:{key}" for key_id, key in keys]


def key_ids() -> dict[str, dict[str, int]]:
    return {str(place): dict(found) for place in key_rotation.places() if (found := key_rotation.by_key(place))}


def run_command(*arguments: str) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("rotate_encryption_keys", *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


@pytest.fixture
def secrets(settings) -> dict[str, str]:
    """Five tokens, the host's own provider key and a webhook secret under the old key; the ring then gets a new one."""
    use_keys(settings, OLD)
    tokens = [GithubTokenFactory(token=f"token {n}") for n in range(5)]
    host_key = ProviderKeyFactory(account_id=GLOBAL_ACCOUNT_ID, key="the host's key")
    project = ProjectFactory(webhook_secret="hook")
    ProjectFactory(webhook_secret=None)
    use_keys(settings, NEW, OLD)
    plain = {f"token {token.pk}": f"token {n}" for n, token in enumerate(tokens)}
    return plain | {f"key {host_key.pk}": "the host's key", f"project {project.pk}": "hook"}


def opened() -> dict[str, str]:
    with platform():
        tokens = {f"token {row.pk}": row.token.reveal() for row in GithubToken.objects.all()}
        keys = {f"key {row.pk}": row.key.reveal() for row in ProviderKey.objects.all()}
        projects = Project.objects.filter(webhook_secret__isnull=False)
        return tokens | keys | {f"project {row.pk}": row.webhook_secret.reveal() for row in projects}


@pytest.mark.django_db
def test_every_encrypted_column_of_every_model_is_a_place():
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name || '.' || column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'bytea'"
            " AND column_name NOT IN ('fingerprint', 'payload_hash', 'token_hash') ORDER BY 1"
        )
        stored = {name for (name,) in cursor.fetchall()}
    assert {str(place) for place in key_rotation.places()} >= PLACES
    assert {str(place) for place in key_rotation.places()} <= stored


@pytest.mark.django_db
def test_a_dry_run_counts_by_key_and_changes_nothing(secrets):
    before = key_ids()
    code, out, _ = run_command("--dry-run", "--json")
    assert code == 0
    report = json.loads(out)
    assert report["key"] == "new"
    assert {place: keys for place, keys in report["sealed_by"].items() if keys} == {
        "github_tokens.token": {"old": 5},
        "provider_keys.key": {"old": 1},
        "projects.webhook_secret": {"old": 1},
    }
    assert key_ids() == before
    assert "7 secrets would be sealed anew under 'new'." in run_command("--dry-run")[1]


@pytest.mark.django_db
def test_it_seals_all_anew_and_everything_opens_without_the_old_key(settings, secrets):
    code, out, _ = run_command("--json")
    assert code == 0
    report = json.loads(out)
    resealed = {place: count for place, count in report["resealed"].items() if count}
    assert resealed == {"github_tokens.token": 5, "provider_keys.key": 1, "projects.webhook_secret": 1}
    assert report["remaining"] == []
    use_keys(settings, NEW)
    assert opened() == secrets
    assert "0 secrets sealed anew" in run_command()[1]


@pytest.mark.django_db
def test_one_that_was_killed_goes_on_where_it_stopped(settings, secrets):
    killed = key_rotation.rotate(batch=2)
    assert next(killed).resealed == 2
    killed.close()
    assert key_ids()["github_tokens.token"] == {"new": 2, "old": 3}
    assert opened() == secrets
    assert len(key_rotation.remaining()) == 5

    assert json.loads(run_command("--json", "--batch", "2")[1])["resealed"]["github_tokens.token"] == 3
    use_keys(settings, NEW)
    assert opened() == secrets


@pytest.mark.django_db
def test_a_batch_that_fails_leaves_its_rows_as_they_were(secrets, monkeypatch):
    def break_down(*_args, **_keywords):
        raise OSError("no random bytes")

    monkeypatch.setattr(key_rotation, "seal", break_down)
    with pytest.raises(OSError, match="no random"):
        list(key_rotation.rotate())
    assert key_ids()["github_tokens.token"] == {"old": 5}
    assert opened() == secrets


@pytest.mark.django_db
def test_a_secret_that_does_not_open_is_named_and_left_and_the_others_are_done(settings, secrets):
    use_keys(settings, ("lost", NEW[1]))
    lost = GithubTokenFactory(token="nobody will read this")
    use_keys(settings, NEW, OLD)
    code, out, err = run_command()
    assert code == 1
    assert f"github_tokens.token of row {lost.pk}. The encryption key 'lost' is not in ENCRYPTION_KEYS." in err
    assert "1 secrets do not open with 'new' alone: keep the other keys." in out
    assert key_ids()["github_tokens.token"] == {"new": 5, "lost": 1}


@pytest.mark.django_db
def test_a_key_that_was_exchanged_under_its_id_is_not_taken_for_done(settings, secrets):
    run_command()
    use_keys(settings, ("new", OLD[1]))
    assert run_command()[0] == 1


@pytest.mark.django_db
def test_a_row_that_was_loaded_before_and_is_saved_after_does_not_bring_the_old_key_back(settings, secrets):
    with platform():
        stale = GithubToken.objects.order_by("pk").first()
        assert stale is not None
    run_command()
    with platform():
        stale.name = "renamed"
        stale.save()
    assert key_rotation.remaining() == []
    use_keys(settings, NEW)
    assert opened() == secrets


@pytest.mark.django_db
def test_a_row_whose_key_is_lost_can_still_be_saved_and_keeps_its_bytes(settings, secrets):
    use_keys(settings, NEW)
    with platform():
        row = GithubToken.objects.order_by("pk").first()
        assert row is not None
        row.name = "renamed"
        row.save()
        with pytest.raises(EncryptionError, match="'old' is not in"):
            GithubToken.objects.get(pk=row.pk).token.reveal()
    use_keys(settings, OLD)
    assert opened() == secrets


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("batch", [1, 100])
def test_a_text_that_somebody_saves_meanwhile_is_not_lost(settings, secrets, batch):
    with platform():
        pk = GithubToken.objects.order_by("pk").values_list("pk", flat=True)[0]
    with transaction.atomic(), platform():
        row = GithubToken.objects.get(pk=pk)
        row.token = "changed meanwhile"
        row.save()
        rotation = waiting_rotation(batch)
    rotation.join(120)
    assert opened() == secrets | {f"token {pk}": "changed meanwhile"}
    assert key_rotation.remaining() == []
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT token FROM github_tokens WHERE id = %s", [pk])
        assert key_id_of(bytes(cursor.fetchone()[0])) == "new"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_two_at_once_leave_nothing(secrets, batch):
    """The second one waits for a batch of the first one's, and finds all of it done."""
    with transaction.atomic():
        first = key_rotation.rotate(batch=batch)
        assert next(first).resealed == batch
        second = waiting_rotation(batch)
    first.close()
    second.join(120)
    assert key_rotation.remaining() == []


def waiting_rotation(batch: int) -> threading.Thread:
    """A rotation in a thread, which by now waits for a row that this connection's transaction holds."""
    started = threading.Event()
    backend: list[int] = []

    def rotate() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            backend.append(cursor.fetchone()[0])
        started.set()
        list(key_rotation.rotate(batch=batch))
        connections.close_all()

    rotation = threading.Thread(target=rotate, daemon=True)
    rotation.start()
    assert started.wait(30)
    with connection.cursor() as cursor:
        waits = False
        deadline = time.monotonic() + 60
        while not waits and rotation.is_alive() and time.monotonic() < deadline:
            cursor.execute("SELECT pg_backend_pid() = ANY (pg_blocking_pids(%s))", backend)
            waits = cursor.fetchone()[0]
    assert waits
    return rotation
