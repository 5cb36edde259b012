"""From an empty PostgreSQL to one that the processes can use: roles, databases, tables, seeds, a first login."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from accounts.models import User
from accounts.operations import open_first_account
from paid.lib.tenancy import platform
from paid.stack import embedded
from paid.stack.environment import DATABASE_PASSWORDS, StackEnvironment

SEEDS = ("seed_prompts", "sync_models")
# Prompts are files of that app; models and prices come from a package, whose version the lock holds.
SEEDED_FROM = settings.BASE_DIR / "prompts"
LOCK = settings.BASE_DIR / "requirements.lock"
FIRST_EMAIL = "admin@paid.local"


def initialise_server(environment: StackEnvironment, init_sql: Path) -> bool:
    """Run init-db.sql when it changed since it last ran here; True when it ran."""
    values = environment.values
    secrets = {name: values[name] for name in DATABASE_PASSWORDS}
    digest = hashlib.sha256(init_sql.read_bytes() + repr(sorted(secrets.items())).encode()).hexdigest()
    stamp = environment.path.with_name("init-db.sha256")
    if stamp.is_file() and stamp.read_text() == digest:
        return False
    embedded.run_psql(int(values["POSTGRES_PORT"]), values["POSTGRES_PASSWORD"], ["-f", str(init_sql)], secrets)
    stamp.write_text(digest)
    return True


def migrate() -> int:
    """Bring the tables up to date as their owner; the number of migrations applied."""
    executor = MigrationExecutor(connections["owner"])
    pending = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if pending:
        call_command("migrate", database="owner", verbosity=0, interactive=False, skip_checks=True)
    return pending


def seed(say: Callable[[str], None], stamp: Path, *, is_forced: bool) -> None:
    """Seed when what is seeded, or the database, is not what it was at the last time; it takes a second or two."""
    digest = hashlib.sha256(settings.DATABASE_URL.encode())
    for path in (*sorted(SEEDED_FROM.rglob("*")), LOCK):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(path.read_bytes())
    if not is_forced and stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    for name in SEEDS:
        say(f"seeding: {name}")
        # What it changed is for who calls it by hand; standard output belongs to our caller.
        call_command(name, stdout=io.StringIO())
    stamp.write_text(digest.hexdigest())


def first_login(password: str) -> tuple[str, str | None]:
    """The first user's e-mail address, and the password as long as it is still the generated one."""
    open_first_account(name="My team", slug="team", email=FIRST_EMAIL, password=password)
    with platform():
        user = User.objects.filter(email=FIRST_EMAIL).first()
    if user is None:
        return "the account you made", None
    return user.email, password if check_password(password, user.password) else None


def close_connections() -> None:
    """Leave no connection and no pool thread behind: the caller goes on to start processes."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        pooled: Any = connection
        if pooled.pool is not None:
            pooled.close_pool()
