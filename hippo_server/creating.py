"""Trials of large studies are created some at a time, each time once those before are durable: others go between."""

from __future__ import annotations

import contextlib

from hippo_core.engine.commands import CreateTrials
from hippo_core.errors import InvariantViolated, Unavailable
from hippo_server.term import Term


async def create_what_is_known(term: Term) -> None:
    """Creates whatever the engine wants, of one study at a time, until the term is over."""
    term.creations.set()
    with contextlib.suppress(Unavailable, InvariantViolated):  # the term is over; the next one wants the same
        while not term.over:
            await term.creations.wait()
            term.creations.clear()
            while not term.over and (wanted := term.engine.wanted_of(CreateTrials)):
                term.carry_out(wanted[0], "server")
                await term.settled()
