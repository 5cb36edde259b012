"""Constraints that Django's ORM has no word for, as parts of `Meta.constraints` so that migrations see them."""

from collections.abc import Iterator
from typing import Any

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement, Table
from django.db.models import Q
from django.db.models.expressions import Col
from django.db.models.sql import Query


def one_of(column: str, choices: type[models.TextChoices], name: str) -> models.CheckConstraint:
    """The column holds one of the choices: the database refuses what a form would."""
    return models.CheckConstraint(condition=Q(**{f"{column}__in": choices.values}), name=name)


class RowRule(models.CheckConstraint):
    """A CHECK that is read only when a row is new or one of the rule's columns is written.

    For tables that are updated at every model call: PostgreSQL parses each CHECK of a table anew for every UPDATE,
    also of other columns, which was a fifth of what a settlement cost. It is a trigger with the rule as its condition
    (`refuse_row` in paid/lib/sql/row_rules.sql) and is told as a CHECK: check_violation under the rule's name.
    Decision 0051 says what this takes along.
    """

    def constraint_sql(self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        assert schema_editor is not None  # noqa: S101 - None is the stubs' only
        schema_editor.deferred_sql.append(self.create_sql(model, schema_editor))
        return ""

    def create_sql(  # type: ignore[override]  # the schema editor executes Statements; the stubs say str
        self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None
    ) -> Statement:
        assert model is not None and schema_editor is not None  # noqa: S101, PT018 - None is the stubs' only
        quote = schema_editor.quote_name
        query = Query(model)
        where = query.build_where(Q(self.condition))
        condition, values = where.as_sql(
            query.get_compiler(connection=schema_editor.connection), schema_editor.connection
        )
        literal = condition % tuple(schema_editor.quote_value(value) for value in values)
        columns = sorted({str(column.target.column) for column in _columns(where)})
        return Statement(
            "CREATE TRIGGER %(name)s BEFORE INSERT OR UPDATE OF %(columns)s ON %(table)s"
            " FOR EACH ROW WHEN (NOT (%(condition)s)) EXECUTE FUNCTION refuse_row()",
            name=quote(self.name),
            columns=", ".join(quote(column) for column in columns),
            table=Table(model._meta.db_table, quote),
            condition=literal.replace(f"{quote(model._meta.db_table)}.", "NEW."),
        )

    def remove_sql(  # type: ignore[override]
        self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None
    ) -> Statement:
        assert model is not None and schema_editor is not None  # noqa: S101, PT018 - None is the stubs' only
        quote = schema_editor.quote_name
        return Statement(
            "DROP TRIGGER %(name)s ON %(table)s", name=quote(self.name), table=Table(model._meta.db_table, quote)
        )

    # Its fields are a CHECK's, but it is none: who changes one into the other gets a migration.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowRule) and super().__eq__(other)

    def __hash__(self) -> int:
        return hash(self.name)


def _columns(expression: Any) -> Iterator[Col]:
    """Every column that a compiled condition reads."""
    if isinstance(expression, Col):
        yield expression
        return
    for part in expression.get_source_expressions():
        if part is not None:
            yield from _columns(part)


class TenantForeignKey(models.BaseConstraint):
    """`(account_column, column)` references `(account_id, id)` of `to`, so that a row cannot point into another tenant.

    The Django field beside it is a `ForeignKey(db_constraint=False)`, for joins. `account_column` is another
    column than `account_id` where the target may be global (account 0).
    """

    def __init__(
        self,
        *,
        column: str,
        to: str,
        name: str,
        account_column: str = "account_id",
        on_delete: str = "NO ACTION",
    ) -> None:
        super().__init__(name=name)
        self.column = column
        self.to = to
        self.account_column = account_column
        self.on_delete = on_delete

    def constraint_sql(self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        self.create_sql(model, schema_editor)
        return ""

    def create_sql(self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None) -> str:
        """Defers the statement to the end of the migration: the referenced key may be made later in it."""
        assert model is not None and schema_editor is not None  # noqa: S101, PT018 - None is the stubs' only
        quote = schema_editor.quote_name
        # ON DELETE SET NULL would null account_id too: name the one column (PostgreSQL 15 and later).
        action = f"SET NULL ({quote(self.column)})" if self.on_delete == "SET NULL" else self.on_delete
        schema_editor.deferred_sql.append(
            Statement(
                "ALTER TABLE %(table)s ADD CONSTRAINT %(name)s FOREIGN KEY (%(columns)s)"
                " REFERENCES %(to)s (account_id, id) ON DELETE %(action)s DEFERRABLE INITIALLY DEFERRED",
                table=Table(model._meta.db_table, quote),
                name=quote(self.name),
                columns=f"{quote(self.account_column)}, {quote(self.column)}",
                to=quote(self.to),
                action=action,
            )
        )
        return ""

    def remove_sql(  # type: ignore[override]  # the schema editor executes Statements; the stubs say str
        self, model: type[models.Model] | None, schema_editor: BaseDatabaseSchemaEditor | None
    ) -> Statement:
        assert model is not None and schema_editor is not None  # noqa: S101, PT018 - None is the stubs' only
        return Statement(
            "ALTER TABLE %(table)s DROP CONSTRAINT %(name)s",
            table=Table(model._meta.db_table, schema_editor.quote_name),
            name=schema_editor.quote_name(self.name),
        )

    def validate(self, *args: Any, **kwargs: Any) -> None:
        """The database checks it; forms offer only rows of the tenant."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TenantForeignKey) and self.deconstruct() == other.deconstruct()

    def __hash__(self) -> int:
        return hash(self.name)

    def deconstruct(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        path, args, kwargs = super().deconstruct()
        kwargs.update(column=self.column, to=self.to)
        if self.account_column != "account_id":
            kwargs["account_column"] = self.account_column
        if self.on_delete != "NO ACTION":
            kwargs["on_delete"] = self.on_delete
        return path, tuple(args), kwargs
