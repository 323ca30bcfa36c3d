"""The ready ranges of a plan, in the orders in which they are leased: of all users together, and of each."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

from hippo_core.ready_order import Entry, ReadyOrder
from hippo_core.stage_ranges import Range


class ReadyRanges:
    """The ready ranges of a plan's nodes.

    Args:
        blocked: Nodes of which none is leased for now; shared with the tree.

    Attributes:
        counts: By node how many there are, where there are any.
        since: By node when there came to be any, where there are some; in the engine's time.
    """

    __slots__ = ("_blocked", "_order", "_turns", "_version", "_versions", "counts", "since")

    def __init__(self, blocked: Container[int]) -> None:
        self.counts: dict[int, int] = {}
        self.since: dict[int, float] = {}
        self._blocked = blocked
        self._order = ReadyOrder(self._stands)
        self._turns: dict[str, ReadyOrder] | None = None  # by user; None: nobody has asked yet
        self._version = 0
        self._versions: dict[
            int, int
        ] = {}  # by node: of its ready ranges in their order, where there are any

    def put(self, node: int, ranges: Sequence[Range], now: float) -> None:
        """Puts those of a node in their place among the others; what was ready there before is no more."""
        if not ranges:
            if node in self._versions:
                del self._versions[node], self.counts[node], self.since[node]
            return
        self.counts[node] = len(ranges)
        self.since.setdefault(node, now)
        self._version += 1
        self._versions[node] = self._version
        for found in ranges:
            self._order.push(self._entry(node, found))
            if self._turns is not None:
                self._list_for_users(node, found)

    def order_of(self, user: str | None, every: Callable[[], Iterable[tuple[int, Range]]]) -> ReadyOrder:
        """The order of a user's ranges, kept from the first time on that somebody asks for one; or that of all.

        Args:
            user: The user; None: all.
            every: All ready ranges with their nodes, asked for that first time.
        """
        if user is None:
            return self._order
        if self._turns is None:
            self._turns = {}
            for node, found in every():
                self._list_for_users(node, found)
        return self._turn_of(user)

    def _turn_of(self, user: str) -> ReadyOrder:
        assert self._turns is not None
        found = self._turns.get(user)
        if found is None:
            found = self._turns[user] = ReadyOrder(self._stands)
        return found

    def _list_for_users(self, node: int, found: Range) -> None:
        """Lists a range in the order of everybody who needs it."""
        for user in found.users:
            self._turn_of(user).push(self._entry(node, found))

    def _entry(self, node: int, found: Range) -> Entry:
        return -found.priority, -found.remaining - found.ahead, node, found.base, self._versions[node]

    def _stands(self, entry: Entry) -> bool:
        _, _, number, _, version = entry
        return self._versions.get(number) == version and number not in self._blocked
