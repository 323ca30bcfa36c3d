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
        self._waiting: set[int] = set()
        self._training: dict[int, Hears] = {}
        self._early: dict[int, list[Instruction]] = {}
        self._closed = 0

    def add(self, fence: int) -> None:
        """A path was told, and waits for its turn."""
        self._waiting.add(fence)

    def begin(self, fence: int, link: Hears) -> bool:
        """A path's turn has come: its link is given what was said of it meanwhile. False: it was given back."""
        if fence not in self._waiting:
            return False
        self._waiting.remove(fence)
        self._training[fence] = link
        for instruction in self._early.pop(fence, []):
            link.put(instruction)
        return True

    def close(self, fence: int) -> None:
        """Instructions for this path are ignored from now on."""
        self._training.pop(fence, None)
        self._closed = max(self._closed, fence)

    def instruct(self, message: Offer | Stop) -> Answered | Returned | None:
        """Brings an instruction to its path; gives the answer where the path's turn has not come."""
        fence, waits = message.fence, message.fence in self._waiting
        if waits and isinstance(message, Stop):
            self._waiting.remove(fence)
            self._early.pop(fence, None)
            self._closed = max(self._closed, fence)
            return Returned(fence=fence)
        instruction: Instruction
        if isinstance(message, Stop):
            instruction = StopPath(save=message.save, reason=message.reason)
        else:
            instruction = OfferSavePoint(node=message.node, step=message.step)
        if (link := self._training.get(fence)) is not None:
            link.put(instruction)
        elif waits or fence > self._closed:
            # Fences only grow, so one that is over never comes back.
            self._early.setdefault(fence, []).append(instruction)
        if waits and isinstance(message, Offer):
            return Answered(fence=fence, node=message.node, step=message.step, will=message.is_on_path)
        return None
