"""What turns an event into rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hippo_server.store.batch import Batch

Handler = Callable[[Batch, Any, int], None]
"""Adds what an event changes to a batch, given the event's id in the journal."""
