"""What a measuring function gets: sizes, the seeded world, and connections as the roles that would ask."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from django.conf import settings
from django.db import connection

from paid.lib.tenancy import platform, tenant

RoleName = Literal["owner", "tenant", "platform"]


@dataclass(frozen=True)
class Sizes:
    """How much is seeded. `seconds` is how long the crowds write; `tag_rows` are rows for JSONB and arrays."""

    runs: int = 1_000_000
    log_rows: int = 5_000_000
    usages: int = 5_000_000
    prompt_versions: int = 100_000
    tag_rows: int = 1_000_000
    retention_rows: int = 5_000_000
    crowd: int = 100
    writers: int = 16
    seconds: float = 60.0

    @classmethod
    def smallest(cls) -> "Sizes":
        """Tiny: shows that everything runs. No figure of it means anything."""
        return cls(
            runs=2_000,
            log_rows=10_000,
            usages=4_000,
            prompt_versions=200,
            tag_rows=2_000,
            retention_rows=2_000,
            crowd=3,
            writers=2,
            seconds=0.5,
        )


@dataclass(frozen=True)
class SeededRun:
    run_id: int
    created_at: datetime
    log_rows: int


@dataclass(frozen=True)
class World:
    """Ids and words of what was seeded. `account_id` is the large account: most runs, logs and prompts are its own.

    `tags_account_id` owns a tenth of the `sizes.tag_rows` GitHub tokens and projects; one token in a thousand has the
    scopes admin:org or delete_repo, one project in a thousand the label plan = paid-plan, another one the setting
    language = cobol. Every hundredth issue is labelled paid-plan; every version uses the variable `issue`, one in 200
    `area_7`. `rare_word` stands in few log lines and templates, `common_word` in very many; neither is ever
    a part of another word.
    """

    account_id: int
    small_account_id: int
    tags_account_id: int
    user_id: int
    project_id: int
    project_ids: tuple[int, ...]
    language_model_id: int
    prompt_id: int
    prompt_slug: str
    prompt_version_id: int
    ab_test_id: int
    rare_word: str
    common_word: str
    longest_run: SeededRun
    first_run_at: datetime
    seeded_at: datetime


@dataclass(frozen=True)
class Bench:
    sizes: Sizes
    world: World
    say: Callable[[str], None]

    @contextmanager
    def as_tenant(self, account_id: int | None = None) -> Iterator[None]:
        """Django's connection inside of the tenant's context of an account (the large one), as a request has it."""
        with tenant(self.world.account_id if account_id is None else account_id, self.world.user_id):
            _assert_role("paid_tenant")
            yield

    @contextmanager
    def as_platform(self) -> Iterator[None]:
        with platform():
            _assert_role("paid_platform")
            yield

    @contextmanager
    def connect(self, role: RoleName, account_id: int | None = None) -> Iterator[psycopg.Connection[Any]]:
        """A connection of its own in autocommit mode, for baselines: plain SQL as this role."""
        alias = settings.DATABASES["owner" if role == "owner" else "default"]
        with psycopg.connect(
            host=alias["HOST"],
            port=alias["PORT"],
            user=alias["USER"],
            password=alias["PASSWORD"],
            dbname=alias["NAME"],
            autocommit=True,
        ) as plain:
            if role != "owner":
                plain.execute(f"SET ROLE paid_{role}")
            if role == "tenant":
                wanted = str(self.world.account_id if account_id is None else account_id)
                plain.execute("SELECT set_config('paid.account_id', %s, false)", [wanted])
            yield plain


def _assert_role(wanted: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        found = cursor.fetchone()
    if found is None or found[0] != wanted:
        raise AssertionError(f"measuring as {found}, not as {wanted}")
