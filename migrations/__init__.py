"""Alembic's migrations: forward only, numbered, installed with the package and run by ``Store.migrate``.

A revision is SQL, as it was when it was made; what it amounts to in code is ``hippo_server.store.tables``.
"""
