"""Which points are one and the same, and the points of a sampler without those that are.

Two points are one where their trials have the same values at every step: their schedules may be written, and drawn, in
different ways. A copy would be trained for nothing, and is no news to a policy or a sampler.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import count

from hippo_core.sequence import Sequence
from hippo_core.space import Assignment, Space

#: After so many copies in a row what is left of a finite space is listed.
COPIES = 100


def identity(sequence: Sequence, steps: int) -> Hashable:
    """What stands for the values of the first ``steps`` steps; equal: so are they, and the number of steps."""
    found: list[tuple[int, Hashable]] = []
    for start, laws in zip(sequence.starts, sequence.stretches, strict=True):
        if start < steps and not (found and found[-1][1] == laws):
            found.append((start, laws))
    return steps, tuple(found)


def may_repeat(space: Space) -> bool:
    """Whether random points of a space can be one and the same: not where every trial has a continuous draw."""
    return all(domain.size is not None for domain in space.unconditional())


class DistinctPoints:
    """Points in order, without copies: as they are drawn; then, of a finite space, those that are left.

    Args:
        space: The space.
        draw: The sampler's point of that number.
        identify: Equal for points that are one and the same.
        given: Points that are none of them.
    """

    def __init__(
        self,
        space: Space,
        draw: Callable[[int], Assignment],
        identify: Callable[[Assignment], Hashable],
        given: Iterable[Assignment],
    ) -> None:
        self._found: list[Assignment] = []
        self._further = _distinct(space, draw, identify, given)

    def __getitem__(self, number: int) -> Assignment:
        """Point ``number``.

        Raises:
            IndexError: There are not so many.
        """
        if self.count(number + 1) <= number:
            raise IndexError(number)
        return self._found[number]

    def count(self, most: int) -> int:
        """How many there are; at most ``most``."""
        while len(self._found) < most:
            found = next(self._further, None)
            if found is None:
                break
            self._found.append(found)
        return min(most, len(self._found))


def _distinct(
    space: Space,
    draw: Callable[[int], Assignment],
    identify: Callable[[Assignment], Hashable],
    given: Iterable[Assignment],
) -> Iterator[Assignment]:
    seen = {identify(each) for each in given}
    finite, copies = space.unlistable() is None, 0
    for number in count():
        point = draw(number)
        found = identify(point)
        if found not in seen or (copies >= COPIES and not finite):
            copies = 0
            seen.add(found)
            yield point
            continue
        copies += 1
        if finite and copies >= COPIES:
            break
    for point in space.assignments():
        found = identify(point)
        if found not in seen:
            seen.add(found)
            yield point
