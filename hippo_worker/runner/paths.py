"""The paths that a runner was told to train, and which of them an instruction reaches."""

from __future__ import annotations

from typing import Protocol

from hippo_worker.hosting.link import Instruction, OfferSavePoint, StopPath
from hippo_worker.runner.messages import Answered, Offer, Returned, Stop


class Hears(Protocol):
    """The link of a path in training."""

    def put(self, instruction: Instruction) -> None:
        """Lets the path hear an instruction at its next step."""
        ...


class Paths:
    """Paths from when they are told to their ends. Not for several threads at once."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[OfferSavePoint]] = {}  # with what each was offered
        self._training: dict[int, Hears] = {}

    def add(self, fence: int) -> None:
        """A path was told, and waits for its turn."""
        self._waiting[fence] = []

    def begin(self, fence: int, link: Hears) -> bool:
        """A path's turn has come: its link is given what it was offered meanwhile. False: it was given back."""
        offers = self._waiting.pop(fence, None)
        if offers is None:
            return False
        self._training[fence] = link
        for offer in offers:
            link.put(offer)
        return True

    def close(self, fence: int) -> None:
        """Instructions for this path are ignored from now on."""
        self._training.pop(fence, None)

    def instruct(self, message: Offer | Stop) -> Answered | Returned | None:
        """Brings an instruction to its path; gives the answer where the path's turn has not come."""
        fence = message.fence
        if isinstance(message, Stop):
            if self._waiting.pop(fence, None) is not None:
                return Returned(fence=fence)
            self._put(fence, StopPath(save=message.save, reason=message.reason))
            return None
        offer = OfferSavePoint(node=message.node, step=message.step)
        if fence in self._waiting:
            self._waiting[fence].append(offer)
            return Answered(fence=fence, node=offer.node, step=offer.step, will=message.is_on_path)
        self._put(fence, offer)
        return None

    def _put(self, fence: int, instruction: Instruction) -> None:
        if (link := self._training.get(fence)) is not None:
            link.put(instruction)
