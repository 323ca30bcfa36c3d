"""The order in which ready ranges are leased: a heap from which what has changed since is left out when it is met."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

Entry = tuple[int, float, int, int, int]
"""Priority and length, both negative; node, base, and the version of the node's outlook."""

FEW = 64


class ReadyOrder:
    """The ready ranges of a plan, or of a user in it: the highest priority first, then the longest.

    Args:
        stands: Whether an entry tells of what is ready still, and may be leased.
    """

    __slots__ = ("_entries", "_most", "_stands")

    def __init__(self, stands: Callable[[Entry], bool]) -> None:
        self._stands = stands
        self._entries: list[Entry] = []
        self._most = FEW

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, entry: Entry) -> None:
        """Adds a range. Now and then what has become void is thrown away, so that it is never most of what is kept."""
        heapq.heappush(self._entries, entry)
        if len(self._entries) > self._most:
            self._entries = [each for each in self._entries if self._stands(each)]
            heapq.heapify(self._entries)
            self._most = max(FEW, 2 * len(self._entries))

    def first(self) -> Entry | None:
        """The first range; None: there is none."""
        while self._entries:
            if self._stands(self._entries[0]):
                return self._entries[0]
            heapq.heappop(self._entries)
        return None

    def in_order(self) -> Iterator[Entry]:
        """The ranges, first to last; what comes and goes meanwhile is not to be asked of it."""
        entries = self._entries
        heads = [(entries[0], 0)] if entries else []
        while heads:
            entry, place = heapq.heappop(heads)
            for child in range(2 * place + 1, min(2 * place + 3, len(entries))):
                heapq.heappush(heads, (entries[child], child))
            if self._stands(entry):
                yield entry
