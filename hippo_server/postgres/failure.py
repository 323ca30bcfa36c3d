"""The error of the embedded PostgreSQL."""

from __future__ import annotations

from hippo_core.errors import HippoError


class PostgresError(HippoError):
    """The embedded PostgreSQL cannot be made or started, and trying again alone will not help."""

    code = "POSTGRES_FAILED"
