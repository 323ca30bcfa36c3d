"""Gives the objects that a process makes from now on addresses in another order than a fresh process gives them."""

from __future__ import annotations

import random

STEP = 16
"""Bytes between two sizes for which memory is handed out."""

LARGEST = 2_048
"""Bytes of the largest size to see to: classes are larger than what Python's own allocator serves."""

BYTES = 1 << 17
"""How much memory of each size is left full of holes."""

_EMPTY = b"".__sizeof__()


def scatter(seed: int) -> list[bytes]:
    """Leaves holes in memory, which the objects to come fill in a random order.

    That the system maps memory at random places moves whole pages only: objects made one after another keep their
    order, and a small set of them often the order in which it is gone through.

    Args:
        seed: Of the order.

    Returns:
        What lies between the holes; they stay apart for as long as it is kept.
    """
    source = random.Random(seed)
    kept: list[bytes] = []
    for size in range(3 * STEP, LARGEST + 1, STEP):
        blocks = [bytes(size - _EMPTY) for _ in range(BYTES // size)]
        source.shuffle(blocks)
        half = len(blocks) // 2
        kept += blocks[:half]
        del blocks[:half]
        while blocks:  # one by one, so that the holes are open in the order of the shuffle
            blocks.pop()
    return kept
