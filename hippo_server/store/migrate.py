"""Bringing a database to this version's schema."""

from __future__ import annotations

from importlib import resources

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection

from hippo_core.errors import Conflict
from hippo_server.store.database import OLDEST_VERSION, PREAMBLE, Database


def migrate(database: Database) -> None:
    """Applies the migrations that the database lacks, in one transaction, while no other server does.

    Raises:
        Conflict: The database is too old a PostgreSQL, not in UTF-8, or of a newer Hippo.
        Unavailable: It cannot be reached, or a lock on its tables did not come free in time.
    """
    with database.translated(), database.engine.begin() as connection:
        connection.execute(text(PREAMBLE))
        _check_server(connection)
        config = _config(connection)
        # For others' migrations to end, however long they take; the lock goes with the transaction.
        connection.execute(text("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('hippo migrations'))"))
        # Tables in use are waited for briefly: a migration that queues for a lock blocks all behind it.
        connection.execute(text("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '10min'"))
        _check_schema(connection, ScriptDirectory.from_config(config))
        command.upgrade(config, "head")


def require_known(database: Database) -> None:
    """Makes sure that no newer Hippo has migrated the database since this one did.

    A server that leads goes on, since migrations are safe with the code that runs. One that would lead from now on
    might meet rows that it cannot read.

    Raises:
        Conflict: One has.
        Unavailable: The database cannot be reached.
    """
    with database.translated(), database.engine.begin() as connection:
        connection.execute(text(PREAMBLE))
        _check_schema(connection, ScriptDirectory.from_config(_config(connection)))


def schema_version(connection: Connection) -> str | None:
    """The revision that a database is at; None: empty."""
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _check_server(connection: Connection) -> None:
    number, encoding = connection.execute(
        text("SELECT current_setting('server_version_num')::int, current_setting('server_encoding')")
    ).one()
    if number // 10000 < OLDEST_VERSION:
        raise Conflict(
            f"the database is PostgreSQL {number // 10000}.",
            f"Hippo needs PostgreSQL {OLDEST_VERSION} or newer.",
        )
    if encoding != "UTF8":
        raise Conflict(
            f"the database's encoding is {encoding}.",
            "Make it with: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0.",
        )


def _check_schema(connection: Connection, scripts: ScriptDirectory) -> None:
    found = schema_version(connection)
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise Conflict(
            f"the database is of a newer Hippo: its schema is {found}, and this one knows up to"
            f" {scripts.get_current_head()}.",
            "Install that Hippo, or give this one a database of its own.",
        )
