"""The embedded PostgreSQL: the server's own database process, for when none is given."""

from hippo_server.postgres.embedded import EmbeddedPostgres, PostgresError

__all__ = ["EmbeddedPostgres", "PostgresError"]
