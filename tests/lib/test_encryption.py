"""A secret opens in its place with its key, and shows itself nowhere else."""

import base64
import copy
import json
import logging
import pickle
from typing import Any

import pytest
from django.core import serializers
from django.db import connection
from django.forms.models import model_to_dict
from hypothesis import example, given
from hypothesis import strategies as st

from accounts.models import GithubToken, ProviderKey
from paid.lib.encryption import EncryptionError, KeyRing, Secret, key_id_of, seal, unseal
from paid.lib.tenancy import platform, tenant
from tests.factories.accounts import AccountFactory, GithubTokenFactory, ProviderKeyFactory

PLAIN = "ghp_a-token-that-nobody-may-see"
PLACE: Any = {"table": "github_tokens", "column": "token", "account_id": 7}
OLD, NEW = ("old", base64.b64encode(b"o" * 32).decode()), ("new", base64.b64encode(b"n" * 32).decode())


def use_keys(settings, *keys: tuple[str, str]) -> None:
    settings.ENCRYPTION_KEYS = [f"{key_id}:{key}" for key_id, key in keys]


def stored(token: GithubToken) -> bytes:
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT token FROM github_tokens WHERE id = %s", [token.pk])
        return bytes(cursor.fetchone()[0])


def test_what_is_sealed_opens_in_the_same_place():
    assert unseal(seal(PLAIN, **PLACE), **PLACE) == PLAIN


def test_the_same_text_is_never_sealed_to_the_same_bytes():
    assert seal(PLAIN, **PLACE) != seal(PLAIN, **PLACE)


@pytest.mark.parametrize("elsewhere", [{"table": "provider_keys"}, {"column": "key"}, {"account_id": 8}])
def test_a_moved_secret_does_not_open(elsewhere):
    with pytest.raises(EncryptionError, match="belongs elsewhere"):
        unseal(seal(PLAIN, **PLACE), **{**PLACE, **elsewhere})


@pytest.mark.parametrize("position", [0, 1, 2, 10, 30, -1])
def test_a_changed_byte_does_not_open(position):
    changed = bytearray(seal(PLAIN, **PLACE))
    changed[position] ^= 1
    with pytest.raises(EncryptionError):
        unseal(bytes(changed), **PLACE)


@pytest.mark.parametrize("broken", [b"", b"\x01", b"\x01\xff", b"\x01\x03dev", b"\x01\x03dev" + b"0" * 12])
def test_a_cut_off_secret_does_not_open(broken):
    with pytest.raises(EncryptionError):
        unseal(broken, **PLACE)


def test_the_format_names_its_version_and_its_key(settings):
    use_keys(settings, NEW)
    sealed = seal(PLAIN, **PLACE)
    assert sealed[:5] == b"\x01\x03new"
    assert len(sealed) == 5 + 12 + len(PLAIN) + 16
    assert key_id_of(sealed) == "new"
    with pytest.raises(EncryptionError, match="unknown format"):
        key_id_of(b"\x02" + sealed[1:])


def test_an_older_key_of_the_ring_still_opens_and_the_first_one_seals(settings):
    use_keys(settings, OLD)
    sealed = seal(PLAIN, **PLACE)
    use_keys(settings, NEW, OLD)
    assert unseal(sealed, **PLACE) == PLAIN
    assert key_id_of(seal(PLAIN, **PLACE)) == "new"


def test_a_key_that_is_gone_or_wrong_is_an_error_that_names_only_its_id(settings):
    use_keys(settings, OLD)
    sealed = seal(PLAIN, **PLACE)
    use_keys(settings, NEW)
    with pytest.raises(EncryptionError, match="'old' is not in ENCRYPTION_KEYS"):
        unseal(sealed, **PLACE)
    use_keys(settings, ("old", NEW[1]))
    with pytest.raises(EncryptionError, match="does not open") as refusal:
        unseal(sealed, **PLACE)
    assert NEW[1] not in str(refusal.value)


@pytest.mark.parametrize("entries", [[], ["dev"], ["dev:c2hvcnQ="], ["dev:not base64"], [":" + OLD[1]]])
def test_a_bad_ring_is_refused_without_showing_it(entries):
    with pytest.raises(EncryptionError, match="ENCRYPTION_KEYS") as refusal:
        KeyRing.parse(entries)
    assert OLD[1] not in str(refusal.value)


def test_a_ring_shows_the_ids_of_its_keys_only():
    assert repr(KeyRing.parse([":".join(OLD), ":".join(NEW)])) == "KeyRing(old, new)"


def test_a_secret_shows_nothing_of_itself(caplog):
    secret = Secret(PLAIN)
    with caplog.at_level(logging.INFO):
        logging.getLogger("paid").info("token %s %r", secret, secret)
    shown = [str(secret), repr(secret), f"{secret}", str([secret]), str({"token": secret}), caplog.text]
    assert [text for text in shown if PLAIN in text] == []
    assert secret.reveal() == PLAIN


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_a_secret_does_not_leave_the_process(leave):
    with pytest.raises(TypeError):
        leave(Secret(PLAIN))


@pytest.mark.django_db
def test_a_row_is_stored_sealed_and_read_back():
    token = GithubTokenFactory(token=PLAIN)
    assert PLAIN.encode() not in stored(token)
    with tenant(token.account_id):
        loaded = GithubToken.objects.get()
        assert loaded.token.reveal() == PLAIN
        assert PLAIN not in repr(loaded.__dict__)
        assert PLAIN not in str(model_to_dict(loaded))


@pytest.mark.django_db
def test_a_row_is_never_serialised():
    token = GithubTokenFactory(token=PLAIN)
    with pytest.raises(EncryptionError, match="not serialised"):
        serializers.serialize("json", [token])


@pytest.mark.django_db
def test_saving_an_untouched_row_keeps_its_bytes_and_a_new_text_changes_them():
    token = GithubTokenFactory(token=PLAIN)
    before = stored(token)
    with tenant(token.account_id):
        loaded = GithubToken.objects.get()
        loaded.save()
        assert stored(token) == before
        loaded.token = "another"
        loaded.save()
        assert GithubToken.objects.get().token.reveal() == "another"


@pytest.mark.django_db
def test_bytes_that_were_copied_to_another_tenants_row_do_not_open():
    token, other = GithubTokenFactory(token=PLAIN), GithubTokenFactory()
    with platform(), connection.cursor() as cursor:
        cursor.execute("UPDATE github_tokens SET token = %s WHERE id = %s", [stored(token), other.pk])
    with tenant(other.account_id), pytest.raises(EncryptionError, match="belongs elsewhere"):
        GithubToken.objects.get().token.reveal()


@pytest.mark.django_db
def test_bytes_that_were_copied_to_another_column_do_not_open():
    token = GithubTokenFactory(token=PLAIN)
    key = ProviderKeyFactory(account=token.account)
    with platform(), connection.cursor() as cursor:
        cursor.execute("UPDATE provider_keys SET key = %s WHERE id = %s", [stored(token), key.pk])
    with tenant(token.account_id), pytest.raises(EncryptionError, match="belongs elsewhere"):
        ProviderKey.objects.get().key.reveal()


@pytest.mark.django_db
def test_a_row_that_is_given_to_another_account_is_sealed_anew():
    token, account = GithubTokenFactory(token=PLAIN), AccountFactory()
    before = stored(token)
    with platform():
        loaded = GithubToken.objects.get(pk=token.pk)
        assert loaded.token.reveal() == PLAIN
        loaded.account = account
        loaded.save()
    assert stored(token) != before
    with tenant(account.pk):
        assert GithubToken.objects.get().token.reveal() == PLAIN


@pytest.mark.django_db
def test_a_secret_that_was_not_asked_for_is_loaded_when_it_is():
    token = GithubTokenFactory(token=PLAIN)
    with tenant(token.account_id):
        assert GithubToken.objects.defer("token").get().token.reveal() == PLAIN
        assert GithubToken.objects.only("token").get().token.reveal() == PLAIN


def update_in_sql(tokens):
    tokens.update(token=PLAIN)


def update_in_bulk(tokens):
    row = tokens.get()
    row.token = PLAIN
    tokens.bulk_update([row], ["token"])


def look_it_up(tokens):
    tokens.filter(token=PLAIN).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("write", [update_in_sql, update_in_bulk, look_it_up])
def test_no_way_round_the_row_sends_the_plain_text(write):
    token = GithubTokenFactory()
    before = stored(token)
    with pytest.raises(EncryptionError, match="only a row knows its account"), tenant(token.account_id):
        write(GithubToken.objects.filter(pk=token.pk))
    assert stored(token) == before


@given(st.lists(st.text(max_size=80), max_size=4))
@example([":"])
@example(["id:" + "A" * 44])
@example(["same:" + OLD[1], "same:" + NEW[1]])
def test_any_setting_is_a_ring_or_an_error_that_repeats_nothing_of_it(entries: list[str]):
    try:
        made = KeyRing.parse(entries)
    except EncryptionError as error:
        told = str(error)
    else:
        told = repr(made)
        assert len(made.keys) == len(entries)
        assert {len(key) for _, key in made.keys} == {32}
    assert not any(len(encoded) > 8 and encoded in told for encoded in (entry.partition(":")[2] for entry in entries))


@given(st.binary(max_size=120))
def test_any_stored_bytes_open_or_are_an_error(stored: bytes):
    with pytest.raises(EncryptionError):
        unseal(stored, **PLACE)
    with pytest.raises(EncryptionError):
        unseal(b"\x01" + stored, **PLACE)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.integers(0, 2**31))
def test_any_text_comes_back_as_it_was(plain: str, account_id: int):
    place = PLACE | {"account_id": account_id}
    assert unseal(seal(plain, **place), **place) == plain
