"""How the server's process looks for garbage: not through what lives long.

An engine of 100,000 trials is millions of objects that live as long as its term, and Python's collector looks through
all of them whenever a quarter more have come: up to a second in which nothing is answered. So what comes in bulk, and
is to live long, is left out (``gc.freeze``): a rebuilt engine, and what a large study brings. Where much of that may
have become garbage, as a term ends or a study is deleted, everything is looked through again.

It is a matter of the whole process, so that the command alone begins it: servers within a test look as Python does.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MANY_EVENTS = 500
"""So many at once bring much that is to live long."""

YOUNG_OBJECTS = 5000
"""So many more are there before what is new is looked through. Python's 700 are the events of a few reports, which go
by themselves as soon as they are written."""

_spares = False
_lock = threading.Lock()
_makers = 0
_looked = False  # whether it was looked for before the first maker came


def spare_what_lives() -> None:
    """This process is a server's: ``spare`` is of effect, and what is new is looked through more seldom."""
    global _spares
    _spares = True
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


def spare() -> None:
    """Leaves what there is out of all that is looked through: much was made that is to live long."""
    if _spares:
        gc.freeze()


def look_again() -> None:
    """Has the next whole pass go through everything: much of it may be garbage by now."""
    if _spares:
        gc.unfreeze()


@contextmanager
def left() -> Iterator[None]:
    """Nothing is looked through meanwhile: what is made is to live long, or goes by itself. Then all is as before."""
    global _makers, _looked
    with _lock:
        if not _makers:
            _looked = gc.isenabled()
        _makers += 1
        gc.disable()
    try:
        yield
    finally:
        with _lock:
            _makers -= 1
            if not _makers and _looked:
                gc.enable()
