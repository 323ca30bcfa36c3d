"""What Alembic runs to apply migrations: on the connection, and in the transaction, that ``Store.migrate`` has open.

That caller takes the lock against others' migrations and sets the time-outs.
"""

from alembic import context

from hippo_server.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=True,
)
context.run_migrations()
