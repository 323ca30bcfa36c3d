"""What was made of studies' trials, kept for their next points: a trial is written, read and converted only once.

It changes nothing about a point. What was made of a trial is taken over where all that is known of it is the same as
before, in the same place of the same study.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import TYPE_CHECKING, Generic, TypeVar

from hippo_core.engine.proposals import PastTrial
from hippo_core.study import StudySpec

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

STUDIES = 4
#: Of all studies together. The server takes 0.9 KB for each, a process that makes points 3 KB.
TRIALS = 100_000

Key = TypeVar("Key")
Made = TypeVar("Made")
Value = TypeVar("Value", bound=Sized)


class ByPlace(Generic[Key, Made]):
    """What was made of a list's items, by their places."""

    def __init__(self) -> None:
        self._known: list[tuple[Key, Made]] = []

    def __len__(self) -> int:
        return len(self._known)

    def of(self, items: Iterable[Key], make: Callable[[int, Key], Made]) -> list[Made]:
        """What is made of items; of those that are as they were, the very same as before.

        Args:
            items: The whole list.
            make: Makes something of one, given its place.
        """
        known = self._known
        found = [
            known[place] if place < len(known) and known[place][0] == item else (item, make(place, item))
            for place, item in enumerate(items)
        ]
        self._known = found  # whole: points of one study may be asked for in several threads
        return [made for _, made in found]


class KnownTrials:
    """A study's trials, as a process that makes points has read and converted them.

    Args:
        spec: The study.
    """

    def __init__(self, spec: StudySpec) -> None:
        self.spec = spec
        self.rows: ByPlace[str, PastTrial] = ByPlace()
        self._converted: list[tuple[PastTrial, FrozenTrial]] = []

    def __len__(self) -> int:
        return max(len(self.rows), len(self._converted))

    def converted(self, place: int, past: PastTrial) -> FrozenTrial | None:
        """What was made of the very same trial before; None: nothing."""
        if place >= len(self._converted):
            return None
        of, found = self._converted[place]
        return found if of is past else None

    def convert(self, pasts: Sequence[PastTrial], made: Sequence[FrozenTrial]) -> None:
        """Keeps what was made of all trials of the study."""
        self._converted = list(zip(pasts, made, strict=True))


class Recent(Generic[Key, Value]):
    """What is known of the studies that were asked for last, as many as fit."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, Value] = OrderedDict()

    def of(self, study: Key, begin: Callable[[], Value]) -> Value:
        """What is known of a study; at first what ``begin`` makes."""
        found = self._known.pop(study, None)
        self._known[study] = found = begin() if found is None else found
        return found

    def trim(self) -> None:
        """Forgets what was not asked for lately; also the last one, if it is too large to be kept."""
        while len(self._known) > STUDIES or sum(map(len, self._known.values())) > TRIALS:
            self._known.popitem(last=False)
