"""What production reads from the world outside, replaced for as long as a simulation runs: clocks, chance, threads."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import random
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from hippo_core.engine import growing
from hippo_server import reporting
from hippo_storage.storage import Storage
from tests.simulation.virtual_time import VirtualClock, VirtualQueue, VirtualThreading

CLOCKS = (
    "hippo_server.answers",
    "hippo_server.commits",
    "hippo_server.driver",
    "hippo_server.rpc.asking",
    "hippo_server.rpc.changes",
    "hippo_server.rpc.study_changes",
    "hippo_server.rpc.study_reading",
    "hippo_server.rpc.watching",
    "hippo_server.sweeping",
    "hippo_server.term",
    "hippo_wire.aio_connection",
    "hippo_wire.retries",
    "hippo_worker.connection",
    "hippo_worker.hosting.loop",
    "hippo_worker.publishing",
    "hippo_worker.slots.loading",
    "hippo_worker.slots.slot",
    "hippo_worker.slots.stalls",
)
"""The modules that read the time, each as ``time.something()``."""

SWEEP_SECONDS = 7.0
POLL_SECONDS = 2.0


TOGETHER_SECONDS = 0.3

CREATED_AT_ONCE = (1, 3, 200)
"""In some runs the trials of the small studies here come as those of large ones do."""


def _soon(chance: random.Random) -> Callable[[Callable[[], None]], None]:
    """In virtual time hardly two workers report at the same time: in some runs reports wait, so that they gather."""
    if chance.random() < 0.75:
        return reporting.soon

    def later(callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(TOGETHER_SECONDS, callback)

    return later


@contextlib.contextmanager
def stand_ins(
    clock: VirtualClock,
    chance: random.Random,
    open_storage: Callable[..., Storage],
    make_connection: Callable[..., Any],
    engine: type[Any],
) -> Iterator[None]:
    """Replaces them.

    Args:
        clock: All clocks.
        chance: All randomness.
        open_storage: Opens the shared storage.
        make_connection: Makes a worker's connection to its server.
        engine: Makes the server's engine.
    """
    replaced: list[tuple[Any, str, Any]] = [
        *((importlib.import_module(name), "time", clock) for name in CLOCKS),
        (importlib.import_module("hippo_server.commits"), "threading", VirtualThreading),
        (importlib.import_module("hippo_worker.lone_thread"), "threading", VirtualThreading),
        (importlib.import_module("hippo_worker.lone_thread"), "SimpleQueue", VirtualQueue),
        (importlib.import_module("hippo_server.driver"), "DATABASE_POLL_SECONDS", POLL_SECONDS),
        (importlib.import_module("hippo_server.health"), "POLL_SECONDS", POLL_SECONDS),
        (reporting, "soon", _soon(chance)),
        (growing, "AT_ONCE", chance.choice(CREATED_AT_ONCE)),
        (importlib.import_module("hippo_server.driver"), "Engine", engine),
        (importlib.import_module("hippo_server.sweeping"), "SWEEP_SECONDS", SWEEP_SECONDS),
        (importlib.import_module("hippo_server.sweeping"), "IDLE_SECONDS", POLL_SECONDS),
        (importlib.import_module("hippo_worker.connection"), "AsyncConnection", make_connection),
        (importlib.import_module("hippo_worker.hosting.loop"), "require_threads", lambda _: None),
        (
            importlib.import_module("hippo_worker.runner.main"),
            "os",
            types.SimpleNamespace(chdir=lambda _: None, environ={}),
        ),
        (Storage, "open", staticmethod(open_storage)),
        (uuid, "uuid4", lambda: uuid.UUID(int=chance.getrandbits(128), version=4)),
    ]
    before = [(place, name, place.__dict__[name]) for place, name, _ in replaced]
    state = random.getstate()
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    random.seed(chance.getrandbits(32))
    hooks = sys.get_asyncgen_hooks()
    # What a killed process was in the midst of is never finished.
    sys.set_asyncgen_hooks(firstiter=None, finalizer=lambda _: None)
    try:
        for place, name, value in replaced:
            setattr(place, name, value)
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)
        random.setstate(state)
        sys.set_asyncgen_hooks(*hooks)
        logging.disable(level)
        asyncio._set_running_loop(None)
