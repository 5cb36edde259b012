import pytest
from django.test import Client

from accounts.models import User
from paid.lib.tenancy import platform
from tests.dashboard.world import World, make_world


@pytest.fixture
def world(db: None) -> World:
    return make_world()


def signed_in_as(user: User) -> Client:
    client = Client()
    with platform():
        client.force_login(user)
    return client


@pytest.fixture
def alice(world: World) -> Client:
    return signed_in_as(world.alice)


@pytest.fixture
def bob(world: World) -> Client:
    return signed_in_as(world.bob)


@pytest.fixture
def charlie(world: World) -> Client:
    return signed_in_as(world.charlie)


@pytest.fixture
def vera(world: World) -> Client:
    return signed_in_as(world.vera)
