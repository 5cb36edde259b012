"""Starts the servers, makes the test database as its owner, and gives fixtures that every test may use."""

import atexit
import faulthandler
import os
from collections.abc import Generator, Iterator
from typing import Any

import hypothesis
import pytest
import pytest_django

from tests.scheduling import Scheduling
from tests.servers import TestServers

# The same examples each time, however slow the machine: a red build must say something about the change. To look
# for new examples: HYPOTHESIS_PROFILE=search make test
every_machine = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("build", deadline=None, derandomize=True, suppress_health_check=every_machine)
hypothesis.settings.register_profile("search", deadline=None, max_examples=2_000, suppress_health_check=every_machine)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "build"))

# Before anything imports Django's settings: conftest files further down import models.
servers = TestServers()
atexit.register(servers.stop)
servers.start()
os.environ["DJANGO_SETTINGS_MODULE"] = "paid.settings"

import django  # noqa: E402 - after the servers' addresses are in the environment

django.setup()

from django.conf import settings  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import TransactionTestCase  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from tests.database import Baseline  # noqa: E402

# Each test client makes its own middleware, which would look through all static files each time; the browser's tests
# have a server of their own for them.
settings.SERVESTATIC_USE_FINDERS = settings.SERVESTATIC_USE_STATIC_ROOT = False
# All tests come from one address.
settings.API_REFUSALS_PER_MINUTE = 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: whoever begins one of them last keeps the other workers waiting at the end."""
    items.sort(key=lambda item: "house" not in getattr(item, "fixturenames", ()))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


class FailuresAtOnce:
    """Tells a failure when it happens: a run that is cut off later never comes to its summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._plugins = config.pluginmanager

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal: Any = self._plugins.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(f"{report.nodeid}, {report.when}:")
            terminal.write_line("\n".join(line[:300] for line in report.longreprtext.splitlines()[-40:]))


class SettingsAsTheyWere:
    """Names the test that leaves a setting changed: a setting that is gone once made another test wait for ever.

    `monkeypatch.setattr(settings, …)` does so, because it ends by deleting; `settings.NAME = …` does not.
    """

    def __init__(self, of: Any) -> None:
        self._settings, self._wrapped = of, of._wrapped

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None]:
        try:
            yield
        finally:
            left, self._settings._wrapped = self._settings._wrapped, self._wrapped
        if left is not self._wrapped:
            pytest.fail("The test left Django's settings changed.")


class LastResort:
    """Ends the process when what follows a test waits for ever: pytest-timeout speaks once, and perhaps has by then."""

    SECONDS = 600

    def __init__(self, config: pytest.Config) -> None:
        capture: Any = config.pluginmanager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled():
            self._terminal = os.dup(2)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None]:
        faulthandler.dump_traceback_later(self.SECONDS, exit=True, file=self._terminal)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(SettingsAsTheyWere(settings))
    config.pluginmanager.register(LastResort(config))
    if "PYTEST_XDIST_WORKER" not in os.environ:
        config.pluginmanager.register(FailuresAtOnce(config))


def pytest_unconfigure() -> None:
    servers.stop()


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None,
    django_db_modify_db_settings: None,
    django_db_blocker: pytest_django.DjangoDbBlocker,
) -> Iterator[None]:
    """One database, made by its owner; `default` reaches it as paid_app.

    While it is made, `default` is a mirror of `owner`. Afterwards it must count as a database of its own, or
    the transaction around each test would be opened on `owner` only.
    """
    with django_db_blocker.unblock():
        created = setup_databases(verbosity=0, interactive=False, serialized_aliases=set())
        connections["default"].settings_dict["TEST"]["MIRROR"] = None
        connections["owner"].close()
        baseline = Baseline()
    test_case: Any = TransactionTestCase
    test_case._fixture_teardown = lambda _: baseline.restore()
    yield
    with django_db_blocker.unblock():
        default: Any = connections["default"]
        default.close()
        default.close_pool()
        teardown_databases(created, verbosity=0)


@pytest.fixture(scope="session")
def temporal_address() -> str:
    """A real Temporal server with namespace `default`, started when the first test asks for it."""
    return servers.start_temporal()
