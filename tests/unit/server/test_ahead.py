"""What is made ahead is what is made."""

from __future__ import annotations

import threading
from collections.abc import Generator
from itertools import islice

import pytest

from hippo_server.store.ahead import MOST_AHEAD, TOGETHER, ahead

ALL_AHEAD = TOGETHER * MOST_AHEAD


@pytest.mark.parametrize("count", [0, 1, TOGETHER - 1, TOGETHER, TOGETHER + 1, ALL_AHEAD + 1])
def test_all_comes_in_order(count: int) -> None:
    assert list(ahead(each for each in range(count))) == list(range(count))


def test_it_goes_on_while_nothing_is_taken_but_not_without_end() -> None:
    """1. The first item is taken. 2. What follows is made, without anybody who takes it. 3. So much at most."""
    made, full = 0, threading.Event()

    def endless() -> Generator[int, None, None]:
        nonlocal made
        while True:
            made += 1
            if made == ALL_AHEAD:
                full.set()
            yield made

    taking = ahead(endless())
    assert next(taking) == 1
    assert full.wait(30)
    taking.close()  # type: ignore[attr-defined]
    assert made <= ALL_AHEAD + TOGETHER


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def failing() -> Generator[int, None, None]:
        yield from range(TOGETHER)
        raise ValueError("the connection is lost")

    taking = ahead(failing())
    assert list(islice(taking, TOGETHER)) == list(range(TOGETHER))
    with pytest.raises(ValueError, match="the connection is lost"):
        next(taking)


def test_what_nobody_takes_any_more_is_closed() -> None:
    """Its transaction ends, and its thread."""
    closed = False

    def reading() -> Generator[int, None, None]:
        nonlocal closed
        try:
            yield from range(ALL_AHEAD * 2)
        finally:
            closed = True

    made = reading()  # held, as otherwise it would be closed by being forgotten
    taking = ahead(made)
    next(taking)
    taking.close()  # type: ignore[attr-defined]
    assert closed
    assert not [each for each in threading.enumerate() if each.name.startswith("ahead")]
