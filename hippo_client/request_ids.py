"""The ids of changes: a server answers a repeated one with its first answer, so that a lost reply does no harm."""

from __future__ import annotations

import uuid

CHANGE_SECONDS = 60.0
"""For how long a change may wait for a server that is being restarted."""


def new_request_id() -> str:
    """The id of one change."""
    return uuid.uuid4().hex
