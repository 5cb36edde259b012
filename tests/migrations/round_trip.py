"""Migrates an empty database forwards, back to nothing and forwards again; prints what each way left, as JSON.

Its own process, because migrations know the database by its alias: run with DATABASE_OWNER_URL of the empty one.
"""

import json

import django

django.setup()

from django.db import connections  # noqa: E402
from django.db.migrations.executor import MigrationExecutor  # noqa: E402

from tests.migrations.catalog import schema  # noqa: E402


def main() -> None:
    connection = connections["owner"]

    def snapshot() -> list[str]:
        with connection.cursor() as cursor:
            return schema(lambda query, values: cursor.execute(query, values) or cursor)

    def migrate(forwards: bool) -> list[str]:
        executor = MigrationExecutor(connection)
        nodes = executor.loader.graph.leaf_nodes()
        executor.migrate(nodes if forwards else [(app, None) for app in executor.loader.migrated_apps])
        return snapshot()

    print(json.dumps([migrate(forwards=True), migrate(forwards=False), migrate(forwards=True)]))  # noqa: T201


main()
