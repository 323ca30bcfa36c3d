"""The migrations, the tables in code, and what a database must be like."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from hippo_core.errors import Conflict, InvalidStudy
from hippo_server.store import Store
from hippo_server.store.database import parse_url
from hippo_server.store.tables import metadata

CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'alembic_version'
        ORDER BY c.relname, a.attnum""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
        ORDER BY 1, 2""",
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1, 2""",
    "comments": """
        SELECT relname, obj_description(oid) FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
        ORDER BY 1""",
}


def catalogue(url: str) -> dict[str, list[tuple[object, ...]]]:
    engine = sqlalchemy.create_engine(parse_url(url), poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        return {
            what: [tuple(row) for row in connection.exec_driver_sql(statement)]
            for what, statement in CATALOGUE.items()
        }


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    engine = sqlalchemy.create_engine(parse_url(url), poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []


def test_each_database_has_an_identity_of_its_own_and_keeps_it(
    new_database: Callable[[str], str],
) -> None:
    found = []
    for _ in range(2):
        store = Store(new_database("template0"))
        store.migrate()
        found.append(store.identity())
        store.migrate()
        assert store.identity() == found[-1]
        store.close()
    assert found[0] != found[1]


def test_the_migrations_make_the_tables_that_the_code_knows(
    database_url: str, empty_database_url: str
) -> None:
    engine = sqlalchemy.create_engine(parse_url(empty_database_url), poolclass=sqlalchemy.NullPool)
    metadata.create_all(engine)
    assert catalogue(database_url) == catalogue(empty_database_url)


def test_alembic_finds_no_difference(database_url: str) -> None:
    engine = sqlalchemy.create_engine(parse_url(database_url), poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_every_table_and_column_is_explained(database_url: str) -> None:
    found = catalogue(database_url)
    assert [row for row in found["columns"] if not row[-1]] == []
    assert [row for row in found["comments"] if not row[-1]] == []


def test_migrating_again_changes_nothing(store: Store, database_url: str) -> None:
    before = catalogue(database_url)
    store.migrate()
    assert catalogue(database_url) == before


def test_servers_that_start_together_migrate_one_after_the_other(empty_database_url: str) -> None:
    errors: list[BaseException] = []

    def start() -> None:
        store = Store(empty_database_url)
        try:
            store.migrate()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert execute(empty_database_url, "SELECT count(*) FROM alembic_version") == [(1,)]


def test_a_database_of_a_newer_hippo_is_refused(store: Store, database_url: str) -> None:
    execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(
        Conflict, match=r"of a newer Hippo: its schema is 9999, and this one knows up to 0002"
    ):
        store.migrate()


def test_a_database_in_another_encoding_is_refused(
    administer: Callable[[str], None], empty_database_url: str
) -> None:
    administer("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    url = sqlalchemy.make_url(empty_database_url).set(database="latin").render_as_string(hide_password=False)
    store = Store(url)
    try:
        with pytest.raises(Conflict, match=r"encoding is LATIN1.*ENCODING 'UTF8'"):
            store.migrate()
    finally:
        store.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///hippo.db", "'sqlite' is not supported"),
        ("mysql://u:p@host/d", "'mysql' is not supported"),
        ("postgresql+asyncpg://host/d", r"'postgresql\+asyncpg' is not supported"),
        ("hippo.db", "it is not the address of a database"),
        ("", "it is not the address of a database"),
    ],
)
def test_an_address_of_anything_but_postgresql_is_refused(url: str, words: str) -> None:
    with pytest.raises(InvalidStudy, match=words) as refused:
        Store(url)
    assert refused.value.field == "database_url"
    assert "postgresql://" in refused.value.hint


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_an_address_of_postgresql_may_be_written_in_each_usual_way(
    empty_database_url: str, scheme: str
) -> None:
    store = Store(scheme + empty_database_url[empty_database_url.index("://") :])
    try:
        store.migrate()
        assert store.version().startswith("PostgreSQL 18")
    finally:
        store.close()


def test_statements_locks_and_idle_transactions_are_cut_short(store: Store) -> None:
    expected = {
        "statement_timeout": "10s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "5s",
        "synchronous_commit": "on",
        "TimeZone": "UTC",
    }
    with store._database.transaction() as cursor:
        found = {}
        for name in expected:
            cursor.execute(f"SHOW {name}")
            found[name] = cursor.fetchone()[0]  # type: ignore[index]
    assert found == expected


def test_options_in_the_address_are_kept_beside_ours(database_url: str) -> None:
    store = Store(f"{database_url}&options=-c%20work_mem%3D7MB")
    try:
        with store._database.transaction() as cursor:
            cursor.execute("SELECT current_setting('work_mem'), current_setting('lock_timeout')")
            assert cursor.fetchone() == ("7MB", "2s")
    finally:
        store.close()
