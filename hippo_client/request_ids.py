"""The ids of changes: a server answers a repeated one with its first answer, so that a lost reply does no harm."""

from __future__ import annotations

import uuid


def new_request_id() -> str:
    """The id of one change."""
    return uuid.uuid4().hex
