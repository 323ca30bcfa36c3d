"""Alembic's migrations: forward only, numbered, installed with the package and run by ``Store.migrate``."""
