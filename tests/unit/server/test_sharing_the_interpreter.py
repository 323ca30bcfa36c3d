"""The writer's thread does not wait for the event loop as long as Python would have it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from hippo_server import main


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Threads take turns as before."""
    before = sys.getswitchinterval()
    yield
    sys.setswitchinterval(before)


def test_threads_of_the_server_take_turns_sooner() -> None:
    before = sys.getswitchinterval()
    main._share_the_interpreter()
    assert sys.getswitchinterval() == pytest.approx(main.SWITCH_SECONDS)
    assert sys.getswitchinterval() < before
