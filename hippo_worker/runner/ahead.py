"""What a runner gets ready for a path while those before it train, so that its turn begins with training."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from hippo_worker.hosting.order import PathOrder
from hippo_worker.runner.capture import Capture
from hippo_worker.runner.messages import Run

if TYPE_CHECKING:
    from hippo_worker.hosting.host import PathHost


@lru_cache(maxsize=4)
def order_of(text: str) -> PathOrder:
    """The order that a message brings; worked out once, by whoever asks first."""
    return PathOrder.from_plain(json.loads(text))


class GetsReady:
    """Reads orders, opens the files for what is printed, and has the states read that paths start from.

    Called from the thread that listens to the daemon, beside training. What goes wrong here comes to light when the
    path's turn has come, and is told then.

    Args:
        host: Will train the paths.
        capture: Will catch what they print.
    """

    def __init__(self, host: PathHost, capture: Capture) -> None:
        self._host = host
        self._capture = capture

    def told(self, run: Run) -> None:
        """A path is to be trained after those that were told before."""
        try:
            order = order_of(run.order_json)
            self._capture.get_ready(run.fence, Path(run.logs), order.stages[0].node)
            if order.start is not None and order.start.folder is not None:
                self._host.ahead.expect(order.fence, order.start.folder)
        except Exception:  # noqa: BLE001  of an order that is none, or a disk that fails: the path dies of it itself
            return

    def returned(self, fence: int) -> None:
        """It was given back."""
        self._capture.let_go(fence)
        self._host.ahead.forget(fence)
