"""SQL comes from named sections that say what they are for."""

import pytest

from paid.lib import sql


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sql, "ROOT", tmp_path)
    sql.sections.cache_clear()
    (tmp_path / "shop" / "sql").mkdir(parents=True)
    yield tmp_path / "shop" / "sql"
    sql.sections.cache_clear()


def test_a_file_is_read_in_sections_of_two_directions(folder):
    (folder / "prices.sql").write_text(
        "-- About prices.\n\n-- name: make\n-- Makes it.\nCREATE TABLE prices ();\nSELECT 1;\n\n"
        "-- reverse: make\n-- Takes it back.\nDROP TABLE prices;\n"
    )
    operation = sql.SqlFile("shop", "prices")
    assert operation.sql == ("-- Makes it.\nCREATE TABLE prices ();\nSELECT 1;",)
    assert operation.reverse_sql == ("-- Takes it back.\nDROP TABLE prices;",)
    assert sql.statement("shop", "prices", "make") == operation.sql[0]
    assert operation.deconstruct() == ("SqlFile", ["shop", "prices"], {})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("SELECT 1;", "has no sections"),
        ("-- name: make\nSELECT 1;", "make does not say what it is for"),
        ("-- name: make\n-- One.\nSELECT 1;\n-- name: make\n-- Two.\nSELECT 2;", "two of one name"),
    ],
)
def test_a_careless_file_is_refused(folder, text, complaint):
    (folder / "prices.sql").write_text(text)
    with pytest.raises(sql.SqlFileError, match=complaint):
        sql.sections("shop", "prices")


def test_what_is_not_there_is_named(folder):
    with pytest.raises(sql.SqlFileError, match=r"shop/sql/absent\.sql does not exist"):
        sql.sections("shop", "absent")
    (folder / "prices.sql").write_text("-- name: make\n-- Makes it.\nSELECT 1;")
    with pytest.raises(sql.SqlFileError, match="has no statement sell"):
        sql.statement("shop", "prices", "sell")
