"""Pages that are only read come from a replica, and never show less than the reader has written."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus

import pytest
from django.db import DatabaseError, connection, connections
from django.test import Client

from accounts.models import Membership
from paid.lib import replicas
from paid.lib.tenancy import platform, tenant
from projects.models import Project
from tests.dashboard.conftest import signed_in_as
from tests.dashboard.world import World, make_world
from tests.standbys import CATCH_UP_SECONDS, Standby

pytestmark = [
    pytest.mark.django_db(databases=["default", "replica_1"], transaction=True),
    pytest.mark.skipif(
        "PAID_TEST_POSTGRES_PASSWORD" not in os.environ, reason="a base backup takes the superuser of the test server"
    ),
]
PROJECTS = "/a/northwind/projects/"


@pytest.fixture(scope="module", autouse=True)
def standby(django_db_setup: None) -> Iterator[Standby]:
    """Known under its alias before Django asks which databases a test may use."""
    made = Standby.of_test_server()
    connections.settings["replica_1"] = made.settings()
    yield made
    replica_connection = connections["replica_1"]
    replica_connection.close()
    replica_connection.close_pool()  # type: ignore[attr-defined]
    del connections["replica_1"]
    del connections.settings["replica_1"]
    made.remove()


@pytest.fixture
def replica(standby: Standby, transactional_db: None) -> Iterator[Standby]:
    yield standby
    connections["replica_1"].close()
    replicas._shunned_until.clear()
    replicas._marks.clear()


@pytest.fixture
def seen(replica: Standby) -> World:
    """The world, replayed."""
    made = make_world()
    replica.catch_up()
    return made


def served(server: str) -> float:
    return float(replicas.pages.labels(server)._value.get())


def rename(world: World, name: str) -> None:
    """By somebody else than the reader."""
    with platform():
        Project.objects.filter(pk=world.project.pk).update(name=name)


def shows(client: Client, name: str) -> bool:
    page = client.get(PROJECTS)
    assert page.status_code == HTTPStatus.OK
    return name in page.content.decode()


def test_a_page_comes_from_the_replica_as_the_tenant_it_belongs_to(replica: Standby, seen: World):
    before = served("replica_1")

    assert shows(signed_in_as(seen.alice), "slugify")
    assert served("replica_1") == before + 1
    with replicas.reading_from("replica_1"), tenant(seen.account.pk, seen.alice.pk), connection.cursor() as cursor:
        cursor.execute("SELECT current_user::text, current_account(), pg_is_in_recovery()")
        assert cursor.fetchone() == ("paid_tenant", seen.account.pk, True)
        assert [project.name for project in Project.objects.all()] == ["slugify"]
    with replicas.reading_from("replica_1"), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM projects")
        assert cursor.fetchone() == (0,)


def test_a_reader_who_wrote_reads_the_primary_until_the_replica_has_caught_up(replica: Standby, seen: World):
    alice, bob = signed_in_as(seen.alice), signed_in_as(seen.bob)
    replica.pause()
    try:
        rename(seen, "renamed")
        assert shows(alice, "slugify")
        before = served("replica_1")

        assert bob.post(f"{PROJECTS}{seen.project.pk}/issues/new", {}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
        assert shows(bob, "renamed")
        assert served("replica_1") == before
        assert shows(alice, "slugify")
    finally:
        replica.resume()
    replica.catch_up()

    before = served("replica_1")
    assert shows(bob, "renamed")
    assert shows(alice, "renamed")
    assert served("replica_1") == before + 2


def test_a_replica_that_is_too_far_behind_is_not_read(replica: Standby, seen: World, settings):
    settings.REPLICA_MAX_LAG_SECONDS = -1.0

    assert replicas.choose(replicas.BEGINNING) is None
    state = replicas.look("replica_1")
    # Somebody may write at this very moment.
    assert (state.is_streaming, state.is_usable) == (True, False)
    assert state.lag_seconds is not None
    assert 0.0 <= state.lag_seconds < CATCH_UP_SECONDS


def test_a_replica_is_left_while_it_replays_nothing_and_read_again_when_it_has_caught_up(
    replica: Standby, seen: World, settings
):
    settings.REPLICA_MAX_LAG_SECONDS = 0.5
    replica.pause()
    try:
        rename(seen, "renamed")
        until(lambda: replicas.choose(replicas.BEGINNING) is None)
    finally:
        replica.resume()
    until(lambda: replicas.choose(replicas.BEGINNING) == "replica_1")


def test_a_replica_whose_stream_stands_still_is_left_although_it_replayed_all_it_got(
    replica: Standby, seen: World, settings
):
    settings.REPLICA_MAX_LAG_SECONDS = 0.5
    alice = signed_in_as(seen.alice)
    receiver = replica.receiver()
    os.kill(receiver, signal.SIGSTOP)
    try:
        rename(seen, "renamed")
        until(lambda: shows(alice, "renamed"))
        assert replicas.choose(replicas.BEGINNING) is None
        # It says of itself that all is well: only the primary knows better.
        state = replicas.look("replica_1")
        assert (state.is_streaming, state.lag_seconds, state.is_usable) == (True, 0.0, False)
    finally:
        os.kill(receiver, signal.SIGCONT)
    until(lambda: replicas.choose(replicas.BEGINNING) == "replica_1")


def until(holds: Callable[[], bool]) -> None:
    """States of a server that comes to them by itself."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_replica_that_does_not_hear_its_primary_is_not_read(replica: Standby, seen: World):
    address = replica.execute("SHOW primary_conninfo")
    replica.execute("ALTER SYSTEM SET primary_conninfo = ''")
    try:
        replica.execute("SELECT pg_reload_conf()")
        while replica.execute("SELECT EXISTS (SELECT FROM pg_stat_wal_receiver)"):
            continue
        assert replicas.choose(replicas.BEGINNING) is None
    finally:
        replica.execute(f"ALTER SYSTEM SET primary_conninfo = $address${address}$address$")
        replica.execute("SELECT pg_reload_conf()")
    replica.catch_up()


def test_who_was_removed_is_out_at_once(replica: Standby, seen: World):
    bob = signed_in_as(seen.bob)
    assert shows(bob, "slugify")
    replica.pause()
    try:
        with platform():
            Membership.objects.filter(user=seen.bob).delete()
        assert bob.get(PROJECTS).status_code == HTTPStatus.NOT_FOUND
    finally:
        replica.resume()


def test_outsiders_find_nothing_on_a_replica_either(replica: Standby, seen: World):
    assert signed_in_as(seen.charlie).get(PROJECTS).status_code == HTTPStatus.NOT_FOUND


def test_a_page_that_writes_is_answered_by_the_primary(replica: Standby, seen: World):
    with pytest.raises(DatabaseError, match="read-only"), replicas.reading_from("replica_1"), tenant(seen.account.pk):
        Project.objects.update(name="written")
    assert [project.name for project in platform_projects()] == ["slugify"]


def platform_projects() -> list[Project]:
    with platform():
        return list(Project.objects.all())


def test_a_killed_replica_leaves_its_pages_to_the_primary(seen: World, replica: Standby):
    """The last test: the module's replica does not come back."""
    alice = signed_in_as(seen.alice)
    assert shows(alice, "slugify")
    os.killpg(replica.server.process.pid, signal.SIGKILL)
    replica.server.process.wait()
    before = served("primary")

    assert shows(alice, "slugify")
    assert shows(alice, "slugify")
    assert served("primary") == before + 2
