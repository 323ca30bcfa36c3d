"""Which checkpoints go first where there is no room for all, and what a study keeps whatever the room.

A checkpoint is worth what it saves: the seconds that training its state again would take, from the nearest state
before it that is kept, times the chance that somebody needs it. What is worth least for its bytes goes first. With each
that goes, those that would have been trained again from it are worth more; so the cheapest of a chain of states go, and
what is left of it is spread out.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Self

from hippo_core.errors import InvalidStudy


class Need(IntEnum):
    """Why a checkpoint is kept; the strongest of several reasons counts."""

    NOBODY = 0  #: nobody is known to need it
    END = 1  #: a trial ended there, which may be extended
    BEST = 2  #: it lies on the way of a best trial: forks begin there first
    FORK = 3  #: trials of a study that has not ended may go on from it
    KEPT = 4  #: a study's ``keep`` says so
    WAITED = 5  #: an open request goes on from it
    PINNED = 6  #: a user said so
    LEASED = 7  #: a granted lease starts from it

    @property
    def may_go(self) -> bool:
        """Whether a budget may let it go: what it costs then is time alone."""
        return self < Need.KEPT

    @property
    def chance(self) -> float:
        """How likely somebody needs it: estimates, of which only the ratios matter.

        Of the trials that rest at a rung one in three goes on, with the usual reduction factor. What has ended is
        seldom taken up again, and then where it was best.
        """
        return _CHANCES.get(self, 1.0)


_CHANCES = {Need.NOBODY: 0.01, Need.END: 0.03, Need.BEST: 0.1, Need.FORK: 0.33}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """What a study keeps, whatever the budgets say.

    Attributes:
        best: The last states of so many of its best trials; None: more than that.
        ends: The last states of all its trials.
        all: All states, also those that nobody needs any more.
    """

    best: int | None = None
    ends: bool = False
    all: bool = False

    @classmethod
    def parse(cls, given: Any) -> Self:
        """Reads ``best``, ``best:3``, ``ends`` or ``all``.

        Raises:
            InvalidStudy: It is none of these.
        """
        text = given if isinstance(given, str) else ""
        if text in {"ends", "all"}:
            return cls(ends=text == "ends", all=text == "all")
        match = re.fullmatch(r"best(?::([1-9]\d{0,8}))?", text)
        if match is None:
            raise InvalidStudy("keep", f"{given!r} is not known", 'Write "best", "best:3", "ends" or "all".')
        return cls(best=int(match[1] or 1))

    def __str__(self) -> str:
        """As it is written."""
        if self.best is None:
            return "all" if self.all else "ends"
        return "best" if self.best == 1 else f"best:{self.best}"


KEEP_BEST = Keep(best=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A checkpoint, as far as its worth is concerned.

    Attributes:
        ancestor: The nearest kept state before it, by its place in the list; None: step 0.
        seconds: What training takes from there to here.
        size_bytes: What it holds in the storage.
        need: Why it is kept.
    """

    ancestor: int | None
    seconds: float
    size_bytes: int
    need: Need


def first_to_go(held: Sequence[Held], excess_bytes: int) -> list[int]:
    """Which checkpoints are to go, in order, until so many bytes are free or no more may go.

    Seconds only grow as others go, so that a heap of worths as they once were finds the least: what comes up with a
    worth that has grown meanwhile is put back.

    Args:
        held: All checkpoints, also those that may not go.
        excess_bytes: How many bytes are to be freed.

    Returns:
        Their places in the list.
    """
    seconds = [each.seconds for each in held]
    ancestors = [each.ancestor for each in held]
    gone: set[int] = set()

    def settle(index: int) -> None:
        """Brings the nearest kept ancestor, and the seconds from there, up to date."""
        passed = []
        ancestor = ancestors[index]
        while ancestor is not None and ancestor in gone:
            passed.append(ancestor)
            ancestor = ancestors[ancestor]
        total = 0.0
        for each in reversed(passed):  # the root-most first: each knows the way from the kept one
            total += seconds[each]
            seconds[each], ancestors[each] = total, ancestor
        if passed:
            seconds[index], ancestors[index] = seconds[index] + total, ancestor

    def worth(index: int) -> float:
        return held[index].need.chance * seconds[index] / max(1, held[index].size_bytes)

    heap = [(worth(index), index) for index, each in enumerate(held) if each.need.may_go]
    heapq.heapify(heap)
    found = []
    while heap and excess_bytes > 0:
        before, index = heapq.heappop(heap)
        settle(index)
        if worth(index) > before:
            heapq.heappush(heap, (worth(index), index))
            continue
        gone.add(index)
        found.append(index)
        excess_bytes -= held[index].size_bytes
    return found
