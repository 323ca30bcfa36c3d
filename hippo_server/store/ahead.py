"""What is made ahead of whoever takes it: the database works, and rows are read, while earlier ones are worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

TOGETHER = 1024
MOST_AHEAD = 64


def ahead(made: Generator[T, None, None]) -> Generator[T, None, None]:
    """What a generator gives, run in a thread of its own.

    Args:
        made: Goes on up to ``TOGETHER * MOST_AHEAD`` items ahead; closed where nobody takes any more.
    """

    def next_ones() -> list[T]:
        return list(islice(made, TOGETHER))

    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as maker:
        try:
            coming = deque(maker.submit(next_ones) for _ in range(MOST_AHEAD))
            while found := coming.popleft().result():
                coming.append(maker.submit(next_ones))
                yield from found
        finally:
            maker.shutdown(cancel_futures=True)
            made.close()
