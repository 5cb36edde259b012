"""Which database alias a query goes to. `owner` and `default` are two roles of one database."""

from typing import Any


class OwnerMigrates:
    """Migrations run as the owner of the tables, everything else as the application's role."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "owner"
