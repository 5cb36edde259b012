"""One cluster and one backup of it for all tests of this directory: making them takes seconds."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_django

from paid.backups import making
from tests.backups.cluster import Cluster, dump_of_test_database
from tests.backups.story import Story


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    # Open to others: as root PostgreSQL runs as nobody.
    top = Path(tempfile.mkdtemp(prefix="paid-backups-"))
    top.chmod(0o711)
    yield top
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(
    directory: Path, django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker
) -> Iterator[Cluster]:
    made = Cluster(directory)
    made.start()
    try:
        made.fill(dump_of_test_database())
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def story(cluster: Cluster, directory: Path, django_db_blocker: pytest_django.DjangoDbBlocker) -> Story:
    """Rows, a backup, more rows, a moment, still more rows."""
    with django_db_blocker.unblock(), cluster.as_default():
        return Story.told(cluster, lambda: making.make(cluster.url("backup"), directory / "backups"))
