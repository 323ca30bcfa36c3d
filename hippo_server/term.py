"""What lives between two rebuilds of the engine."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from hippo_core.engine.engine import Engine
from hippo_core.errors import Unavailable
from hippo_server.answers import Answers
from hippo_server.commits import GroupCommit, lost


@dataclass(slots=True, kw_only=True, eq=False)
class Term:
    """An engine, the writer of its events, and what was answered.

    Attributes:
        number: The leader's term, which every transaction checks.
        silence_seconds: How long the database may not be heard of before nothing is said any more: another server
            may take the lead then.
        heard: When the database last confirmed the lead, monotonic seconds.
        over: What its engine says counts no more.
        retimed: Position of the last record that changed a study's or a worker's times; 0: none waits.
        removals: Set when files of checkpoints may have to go.
    """

    number: int
    engine: Engine
    commits: GroupCommit
    answers: Answers
    silence_seconds: float
    heard: float
    over: bool = False
    retimed: int = 0
    removals: asyncio.Event = field(default_factory=asyncio.Event)

    async def settled(self) -> None:
        """Waits for the commit of all that was decided so far: what was computed before may be told after.

        Raises:
            Unavailable: It is not committed, or nobody knows.
        """
        await self.commits.committed()
        if self.over:
            raise lost()
        self.require_lead()

    def require_lead(self) -> None:
        """Makes sure that no other server can lead by now; also after a pause of the whole process.

        Raises:
            Unavailable: Nobody knows; the next renewal tells.
        """
        if time.monotonic() - self.heard > self.silence_seconds:
            raise Unavailable(
                "the server has not heard from its database for too long.", "Try again in a moment."
            )
