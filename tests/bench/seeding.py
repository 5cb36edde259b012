"""Fills the database of the bench by sets: with the triggers that keep sums, and with the indexes as shipped."""

import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
from django.core.management import call_command
from psycopg import sql

from agent_runs.logs import PARTS_PER_LINE
from metrics.rollups import fold_closed_days
from paid.lib.sql import statement
from tests.bench.context import SeededRun, Sizes, World
from tests.bench.database import BenchServers

LARGE_ACCOUNT, SMALL_ACCOUNT, TAGS_ACCOUNT = 1001, 1002, 1020
LARGE_PROJECT, FIRST_PROMPT = 10001, 1_000_001
COMMON_WORD = "zbx"  # bench.word(1)
# Below this the foreign keys of every seeded row are checked, which proves the plan; above it takes minutes.
CHECKED_RUNS = 20_000
STEP_RUNS = 100_000
# So many of the newest have all that their pages show.
DETAILED_RUNS = 5_000
# What is filled by millions: its secondary indexes are made anew when the rows are there, as they were.
BULK_TABLES = (
    "issues",
    "issue_labels",
    "pull_requests",
    "agent_runs",
    "agent_run_texts",
    "quality_metrics",
    "prompt_versions",
    "prompt_version_variables",
    "prompt_documents",
    "prompt_words",
    "github_tokens",
    "github_token_scopes",
    "projects",
    "project_labels",
)

Connection = psycopg.Connection[Any]
PARTITIONS = """
SELECT create_partitions(
    name, %(now)s - CASE unit WHEN 'day' THEN interval '8 days' ELSE interval '95 days' END, %(now)s)
FROM partitioned_tables
"""
SECONDARY_INDEXES = """
SELECT c.relname, pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = %s::regclass AND NOT i.indisunique
"""
FOREIGN_KEY_TRIGGERS = """
SELECT tgname FROM pg_trigger t JOIN pg_constraint c ON c.oid = t.tgconstraint
WHERE t.tgrelid = %s::regclass AND c.contype = 'f' AND c.conrelid = t.tgrelid
"""
TABLES = """
SELECT c.relname, coalesce((SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(c.oid))::bigint,
                           pg_total_relation_size(c.oid)) AS size
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY size DESC
"""
DAYS = "SELECT DISTINCT day FROM bench.logged ORDER BY day"
LONGEST_RUN = "SELECT id, at, log_rows FROM bench.logged ORDER BY log_rows DESC, id LIMIT 1"
GLOBAL_PROMPT = "SELECT min(id) FROM prompts WHERE account_id = 0 AND current_version_id IS NOT NULL"
FIRST_MODEL = "SELECT id FROM bench.models ORDER BY number LIMIT 1"


@dataclass
class Seeding:
    """One filling. Two connections work side by side where two sets do not need each other."""

    servers: BenchServers
    sizes: Sizes
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        self.now = datetime.now(UTC)
        self.values: dict[str, Any] = {
            "now": self.now,
            "runs": self.sizes.runs,
            "calls": max(1, self.sizes.usages // self.sizes.runs),
            "log_rows": self.sizes.log_rows,
            "prompts": max(10, self.sizes.prompt_versions // 5),
            "sentences": min(200_000, max(2_000, self.sizes.log_rows // 10)),
            "tag_rows": self.sizes.tag_rows,
            "parts_per_line": PARTS_PER_LINE,
            "detailed": DETAILED_RUNS,
        }

    def fill(self) -> World:
        with self._connect() as connection:
            connection.execute(PARTITIONS, self.values)
            for name in ("prepare", "people", "models", "projects"):
                self._run(connection, name)
            self.values["global_prompt"] = _value(connection, GLOBAL_PROMPT)
            with self._bulk_loading(connection, *BULK_TABLES):
                self._side_by_side(self._prompts_and_tags, self._runs)
                self._history(connection)
            self._run(connection, "details", "what pages show beside them")
            self._side_by_side(self._logs, self._usages)
            self._run(connection, "sequences")
            world = self._world(connection)
            self._run(connection, "forget")
            # Closed partitions get the indexes that they have in earnest, by the command that makes them there.
            self._timed("indexes of closed partitions", lambda: call_command("partitions", stdout=io.StringIO()))
            self._timed("folding the slots of days that are over", fold_closed_days)
            piles = _two_piles(connection)
            self._timed("analysing", lambda: self._side_by_side(*(partial(_vacuum, pile) for pile in piles)))
            connection.execute("CHECKPOINT")
        return world

    def _prompts_and_tags(self, connection: Connection) -> None:
        self._run(connection, "prompts", f"{self.sizes.prompt_versions:,} prompt versions")
        self._run(connection, "tags", f"{self.sizes.tag_rows:,} tokens and as many projects")

    def _runs(self, connection: Connection) -> None:
        self._run(connection, "plan_runs", f"a plan of {self.sizes.runs:,} runs")
        self._run(connection, "issues", f"{self.sizes.runs:,} issues")
        self._run(connection, "pull_requests", "their pull requests")

    def _logs(self, connection: Connection) -> None:
        self._run(connection, "logged_runs")
        for (day,) in connection.execute(DAYS).fetchall():
            self._run(connection, "logs", f"log rows of {day:%d %b}", day=day)
        self._timed("words of the log", lambda: self._index_logs(connection))

    @staticmethod
    def _index_logs(connection: Connection) -> None:
        """As the indexer does it, but with the index over the chunks built once, behind them."""
        definition = _value(connection, "SELECT pg_get_indexdef('agent_run_log_chunks_words'::regclass)")
        connection.execute("DROP INDEX agent_run_log_chunks_words")
        while _value(connection, "SELECT index_log_backlog(1000)"):
            pass
        connection.execute(definition.replace(" ON ONLY ", " ON "))

    def _usages(self, connection: Connection) -> None:
        for first, last in self._steps():
            self._run(connection, "usages", f"ledger rows of runs to {last:,}", first=first, last=last)

    def _history(self, connection: Connection) -> None:
        for first, last in self._steps():
            self._run(connection, "runs", f"runs to {last:,}", first=first, last=last)
            self._run(connection, "quality", first=first, last=last)

    def _steps(self) -> Iterator[tuple[int, int]]:
        for first in range(1, self.sizes.runs + 1, STEP_RUNS):
            yield first, min(first + STEP_RUNS - 1, self.sizes.runs)

    def _side_by_side(self, *parts: Callable[[Connection], None]) -> None:
        """Each part in a thread with its connection. When one fails, or on Ctrl-C, the others are broken off."""
        with ExitStack() as stack, ThreadPoolExecutor(len(parts)) as pool:
            connections = [stack.enter_context(self._connect()) for _ in parts]
            running = [pool.submit(part, connection) for part, connection in zip(parts, connections, strict=True)]
            try:
                wait(running, return_when=FIRST_EXCEPTION)
                for part in running:
                    if part.done():
                        part.result()
            except BaseException:
                while wait(running, timeout=0.2).not_done:
                    for connection in connections:
                        connection.cancel()
                raise

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self.servers.connect_superuser() as connection:
            connection.execute("SET TIME ZONE 'UTC'")
            # What triggers keep aside of a large statement, and its joins, stay in memory.
            connection.execute("SET work_mem = '256MB'")
            yield connection

    @contextmanager
    def _bulk_loading(self, connection: Connection, *tables: str) -> Iterator[None]:
        """Without secondary indexes and, for large volumes, foreign keys of the tables that are filled by millions."""
        indexes: list[tuple[str, str]] = []
        triggers: list[tuple[str, str]] = []
        for table in tables:
            indexes += connection.execute(SECONDARY_INDEXES, [table]).fetchall()
            if self.sizes.runs > CHECKED_RUNS:
                triggers += [(table, name) for (name,) in connection.execute(FOREIGN_KEY_TRIGGERS, [table])]
        for name, _ in indexes:
            connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        _switch(connection, triggers, "DISABLE")
        yield
        _switch(connection, triggers, "ENABLE")
        for name, definition in indexes:
            self._timed(f"index {name}", partial(connection.execute, definition))

    def _run(self, connection: Connection, name: str, words: str = "", **values: object) -> None:
        # Each section may be several statements, which only the simple protocol takes: values are bound here.
        text = statement("tests.bench", "seeding", name)
        cursor = psycopg.ClientCursor(connection)
        self._timed(words, lambda: cursor.execute(text, self.values | values))

    def _timed(self, words: str, work: Callable[[], object]) -> None:
        began = time.monotonic()
        work()
        took = time.monotonic() - began
        if words and took > 0.5:
            self.say(f"  {words}: {took:.1f} s")

    def _world(self, connection: Connection) -> World:
        run_id, at, log_rows = connection.execute(LONGEST_RUN).fetchone() or (0, self.now, 0)
        rare_word = _value(connection, statement("tests.bench", "seeding", "rare_word"))
        model = _value(connection, FIRST_MODEL)
        return World(
            account_id=LARGE_ACCOUNT,
            small_account_id=SMALL_ACCOUNT,
            tags_account_id=TAGS_ACCOUNT,
            user_id=LARGE_ACCOUNT,
            project_id=LARGE_PROJECT,
            project_ids=tuple(range(LARGE_PROJECT, LARGE_PROJECT + 40)),
            language_model_id=model,
            prompt_id=FIRST_PROMPT,
            prompt_slug=f"coding.task_{FIRST_PROMPT}",
            prompt_version_id=FIRST_PROMPT + 4,
            ab_test_id=1,
            rare_word=rare_word,
            common_word=COMMON_WORD,
            longest_run=SeededRun(run_id, at, log_rows),
            first_run_at=_value(connection, "SELECT min(created_at) FROM agent_runs"),
            seeded_at=self.now,
        )


def _two_piles(connection: Connection) -> tuple[list[str], list[str]]:
    """All tables, each with its partitions, in two piles of about the same size."""
    piles: tuple[list[str], list[str]] = ([], [])
    sizes = [0, 0]
    for table, size in connection.execute(TABLES).fetchall():
        smaller = sizes.index(min(sizes))
        piles[smaller].append(table)
        sizes[smaller] += size
    return piles


def _vacuum(tables: list[str], connection: Connection) -> None:
    connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.SQL(", ").join(map(sql.Identifier, tables))))


def _switch(connection: Connection, triggers: list[tuple[str, str]], verb: str) -> None:
    for table, name in triggers:
        words = sql.SQL("ALTER TABLE {} " + verb + " TRIGGER {}")
        connection.execute(words.format(sql.Identifier(table), sql.Identifier(name)))


def _value(connection: Connection, query: str) -> Any:
    row = connection.execute(query).fetchone()
    if row is None:
        raise LookupError(f"no row: {query}")
    return row[0]
