"""Values come back bit for bit, whichever way they were sent."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import JSON, BigInteger, Boolean, Column, DateTime, Double, LargeBinary, MetaData, Table, Text

from hippo_server.store import Store, sql
from hippo_server.store.sql import PAGE_ROWS, clean

table = Table(
    "exact",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("number", Double),
    Column("words", Text),
    Column("carried", JSON),
    Column("flag", Boolean),
    Column("raw", LargeBinary),
    Column("moment", DateTime(timezone=True)),
)

doubles = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | doubles
    | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
rows = st.fixed_dictionaries(
    {
        "number": st.none() | doubles,
        "words": st.none() | words,
        "carried": st.dictionaries(words, plain, max_size=4),
        "flag": st.none() | st.booleans(),
        "raw": st.none() | st.binary(max_size=20),
        "moment": st.none()
        | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    }
)


def bits(value: Any) -> Any:
    """A value with its floats' bits, its types and the order of its names."""
    if isinstance(value, float):
        return "float", struct.pack("<d", value)
    if isinstance(value, dict):
        return "dict", [(name, bits(item)) for name, item in value.items()]
    if isinstance(value, list):
        return "list", [bits(item) for item in value]
    return type(value).__name__, value


@pytest.fixture(scope="module")
def exact_store(new_database: Callable[[str], str]) -> Any:
    store = Store(new_database("template0"))
    with store._database.engine.begin() as connection:
        table.metadata.create_all(connection)
    yield store
    store.close()


@given(
    found=st.lists(rows, min_size=1, max_size=4),
    paged=st.booleans(),
    updated=st.booleans(),
    prepared=st.booleans(),
)
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_value_comes_back_as_it_was(
    exact_store: Store, found: list[dict[str, Any]], paged: bool, updated: bool, prepared: bool
) -> None:
    """Inserted in one statement or two, or by an update; by statements that the session keeps or not."""
    sent = [{"id": number, **row} for number, row in enumerate(found)]
    padding = [{"id": -1 - number, **found[0]} for number in range(PAGE_ROWS if paged else 0)]
    with exact_store._database.transaction() as cursor:
        cursor.execute("DEALLOCATE ALL; DELETE FROM exact")
        script = sql.Script(cursor, {} if prepared else None)
        if updated:
            blank = dict.fromkeys(found[0])
            sql.insert(script, table, [{"id": row["id"], **blank} for row in sent])
            sql.update(script, table, ["id"], [(name, "set") for name in blank], sent)
        else:
            sql.insert(script, table, padding + sent)
        script.send()
        cursor.execute(f"SELECT {', '.join(sent[0])} FROM exact WHERE id >= 0 ORDER BY id")
        got = [dict(zip(sent[0], row, strict=True)) for row in cursor.fetchall()]
    for row in got:
        row["raw"] = None if row["raw"] is None else bytes(row["raw"])
    for row, expected in zip(got, sent, strict=True):
        assert {name: bits(row[name]) for name in row} == {name: bits(expected[name]) for name in expected}


@pytest.mark.parametrize("value", [-0.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1e16, 2.0**53 + 2, 1e-7])
def test_doubles_that_other_forms_would_change(exact_store: Store, value: float) -> None:
    row = {"id": 1, "number": value, "carried": {"value": value}}
    with exact_store._database.transaction() as cursor:
        cursor.execute("DELETE FROM exact")
        script = sql.Script(cursor)
        sql.insert(script, table, [row])
        script.send()
        cursor.execute("SELECT number, carried FROM exact")
        assert bits(list(cursor.fetchone() or ())) == bits([value, {"value": value}])


@pytest.mark.parametrize(
    "word", ["$h$", "$h", "h$ $h$ $", "NULL", "\x01", "a\x01b", "'", "\\", '"', "{}", ","]
)
def test_texts_that_statements_are_made_of(exact_store: Store, word: str) -> None:
    rows = [
        {"id": number, "words": said, "carried": {said: said}}
        for number, said in enumerate([word, "b", word])
    ]
    with exact_store._database.transaction() as cursor:
        cursor.execute("DELETE FROM exact")
        script = sql.Script(cursor)
        sql.insert(script, table, rows)
        script.send()
        cursor.execute("SELECT id, words, carried FROM exact ORDER BY id")
        assert [dict(zip(rows[0], row, strict=True)) for row in cursor.fetchall()] == rows


def test_sums_in_the_database_are_those_of_doubles(exact_store: Store) -> None:
    with exact_store._database.transaction() as cursor:
        cursor.execute("DELETE FROM exact")
        script = sql.Script(cursor)
        sql.insert(script, table, [{"id": 1, "number": 0.1}])
        sql.update(script, table, ["id"], [("number", "add")], [{"id": 1, "number": 0.2}])
        script.send()
        cursor.execute("SELECT number FROM exact")
        assert cursor.fetchone() == (0.1 + 0.2,)


def test_a_session_keeps_so_many_statements_and_then_begins_anew(
    exact_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "MOST_PREPARED", 2)
    kept = dict[str, str]()
    with exact_store._database.transaction() as cursor:
        cursor.execute("DEALLOCATE ALL; DELETE FROM exact")
        script = sql.Script(cursor, kept)
        sql.insert(script, table, [{"id": 1, "number": 1.0, "words": "a", "flag": True}])
        for _ in range(2):
            for name, value in {"number": 2.0, "words": "b", "flag": False}.items():
                sql.update(script, table, ["id"], [(name, "set")], [{"id": 1, name: value}])
        script.send()
        cursor.execute("SELECT number, words, flag FROM exact")
        assert cursor.fetchone() == (2.0, "b", False)
        cursor.execute("SELECT name FROM pg_prepared_statements ORDER BY name")
        assert [name for (name,) in cursor.fetchall()] == sorted(kept.values())
    assert len(kept) <= 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_lacks_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        sql.dump({"loss": value})


@pytest.mark.parametrize("column", ["id", "number", "moment", "raw"])
def test_what_is_not_of_a_column_s_type_does_not_come_into_a_statement(column: str) -> None:
    """A statement is text: a value that is not quoted as text must not be any."""
    with pytest.raises((TypeError, ValueError, AttributeError)):
        sql.insert(sql.Script(cast("Any", None)), table, [{"id": 1, column: "1); DROP TABLE exact; --"}])


def test_text_that_postgresql_cannot_hold_is_replaced_where_it_cannot(exact_store: Store) -> None:
    """A user's error message may hold anything; the report of it must not be lost over that."""
    row = {"id": 1, "words": "zero \x00, half \ud800.", "carried": {"zero": "\x00", "half": "\ud800"}}
    with exact_store._database.transaction() as cursor:
        cursor.execute("DELETE FROM exact")
        script = sql.Script(cursor)
        sql.insert(script, table, [row])
        script.send()
        cursor.execute("SELECT words, carried FROM exact")
        assert cursor.fetchone() == ("zero \ufffd, half ?.", {"zero": "\x00", "half": "\ud800"})
    assert clean("as it is: äöü 🦛\n") == "as it is: äöü 🦛\n"
