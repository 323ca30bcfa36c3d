"""Metrics that a rebuilt engine has as text are packed, since they take less memory so, once it answers."""

from __future__ import annotations

import asyncio

from hippo_server.term import Term


async def pack_metrics(term: Term) -> None:
    """Packs them little by little, up to their end or the term's."""
    for _ in term.engine.pack_metrics():
        await asyncio.sleep(0)
        if term.over:
            return
