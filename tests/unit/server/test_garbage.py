"""What is made in bulk is not looked through for garbage while it is made, nor afterwards."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from hippo_server import garbage


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Python looks for garbage as before."""
    yield
    assert gc.isenabled()
    gc.unfreeze()


def test_nothing_is_looked_through_while_anybody_makes_much() -> None:
    """1. Two threads make much. 2. One is done. 3. Only once the other is done, too, garbage is looked for."""
    made, over = threading.Event(), threading.Event()

    def make() -> None:
        with garbage.left():
            made.set()
            over.wait()

    other = threading.Thread(target=make)
    with garbage.left():
        other.start()
        made.wait()
        assert not gc.isenabled()
    assert not gc.isenabled()
    over.set()
    other.join()
    assert gc.isenabled()


def test_it_is_looked_for_again_after_a_failure() -> None:
    with pytest.raises(ValueError, match="refused"), garbage.left():
        raise ValueError("refused")
    assert gc.isenabled()


def test_where_it_was_not_looked_for_it_is_not_afterwards() -> None:
    """1. A process does not look for garbage. 2. Two make much, one within the other. 3. It still does not."""
    gc.disable()
    try:
        with garbage.left():
            with garbage.left():
                pass
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_only_a_servers_process_leaves_out_what_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    before = gc.get_freeze_count()
    garbage.spare()
    assert gc.get_freeze_count() == before
    monkeypatch.setattr(garbage, "_spares", True)
    garbage.spare()
    assert gc.get_freeze_count() > before
    garbage.look_again()
    assert gc.get_freeze_count() == 0
