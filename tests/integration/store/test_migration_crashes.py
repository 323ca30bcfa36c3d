"""A server that is killed, or fails, at any statement of its first start leaves a database that the next one takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy

from hippo_core.errors import HippoError
from hippo_server.store import Store
from tests.integration.store.test_schema import CATALOGUE, catalogue

DIED = 86
NOTHING: dict[str, list[tuple[object, ...]]] = {what: [] for what in CATALOGUE}


def die_everywhere(url: str) -> None:
    """Migrates in one child after the other; each dies one statement later, as if by SIGKILL, until one comes through.

    Says after each what there is of tables then.
    """
    for number in range(1000):
        child = os.fork()
        if not child:
            _migrate_and_die_at(url, number)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, DIED), code
        sys.stdout.write(f"{len(catalogue(url)['columns'])}\n")
        sys.stdout.flush()
        if code == 0:
            return


def _migrate_and_die_at(url: str, fatal: int) -> None:
    count = 0

    def look(*anything: object) -> None:
        nonlocal count
        if count == fatal:
            os._exit(DIED)
        count += 1

    code = 1
    try:
        sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", look)
        sqlalchemy.event.listen(sqlalchemy.Engine, "commit", look)
        store = Store(url)
        store.migrate()
        code = 0
    finally:
        os._exit(code)


def test_a_server_killed_at_any_statement_leaves_no_table_and_the_next_one_makes_all(
    empty_database_url: str, database_url: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", __name__, empty_database_url],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    *after_deaths, after_all = map(int, done.stdout.split())
    assert len(after_deaths) > 10
    assert set(after_deaths) == {0}, "the migrations are one transaction"
    assert after_all > 0
    assert catalogue(empty_database_url) == catalogue(database_url)


@pytest.mark.parametrize("error", [psycopg2.errors.DiskFull, psycopg2.errors.IoError])
def test_a_statement_that_fails_leaves_no_table_and_the_next_start_makes_all(
    empty_database_url: str, database_url: str, error: type[psycopg2.Error]
) -> None:
    fatal, count = 0, 0

    def fail(*anything: object) -> None:
        nonlocal count
        if count == fatal:
            raise error("could not extend file")
        count += 1

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", fail)
    try:
        while True:
            count = 0
            store = Store(empty_database_url)
            try:
                store.migrate()
                break
            except (HippoError, psycopg2.Error):
                fatal += 1
            finally:
                store.close()
            sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", fail)
            assert catalogue(empty_database_url) == NOTHING
            sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", fail)
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", fail)
    assert fatal > 10
    assert catalogue(empty_database_url) == catalogue(database_url)


if __name__ == "__main__":
    die_everywhere(sys.argv[1])
