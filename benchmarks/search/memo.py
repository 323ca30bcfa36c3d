"""Training that is done once: losses by the history of values, kept on disk for all processes.

A network's losses after a step are a function of the values at all steps before, so that they are looked up by a digest
of these. What is trained is trained when a loss is asked for that nobody knows; the states of a run are in memory only.
"""

from __future__ import annotations

import atexit
import os
import sqlite3
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

Losses = tuple[float, float]
"""On what is validated on, and on what is tested on."""

FOLDER = Path(os.environ.get("HIPPO_BENCH_CACHE", "~/.cache/hippo-bench")).expanduser()
UNWRITTEN = 500  #: so many losses are written at a time
DIGEST_BYTES = 12


class Network(Protocol):
    """What is trained, as pure functions; equal arguments must give equal losses."""

    def identity(self) -> str:
        """What its losses depend on beside the values: another identity, other losses."""

    def untrained(self) -> Any:
        """The state before step 0."""

    def train(self, state: Any, step: int, values: Mapping[str, Any]) -> Any:
        """The state a step later; the one before stays as it is."""

    def losses(self, state: Any) -> Losses:
        """What a state is worth."""


class Memo:
    """Losses by history, in a file of SQLite's, which several processes may write.

    Args:
        file: Where they are kept.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file, timeout=120, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS losses "
            "(history BLOB PRIMARY KEY, step INTEGER, validation REAL, test REAL) WITHOUT ROWID"
        )
        self._unwritten: dict[bytes, tuple[int, float, float]] = {}
        atexit.register(self.write)

    def get(self, history: bytes) -> Losses | None:
        fresh = self._unwritten.get(history)
        if fresh is not None:
            return fresh[1], fresh[2]
        query = "SELECT validation, test FROM losses WHERE history = ?"
        found: Losses | None = self._database.execute(query, (history,)).fetchone()
        return found

    def put(self, history: bytes, step: int, losses: Losses) -> None:
        self._unwritten[history] = (step, *losses)
        if len(self._unwritten) >= UNWRITTEN:
            self.write()

    def write(self) -> None:
        if not self._unwritten:
            return
        rows = [(history, *rest) for history, rest in self._unwritten.items()]
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("INSERT OR IGNORE INTO losses VALUES (?, ?, ?, ?)", rows)
        self._database.execute("COMMIT")
        self._unwritten.clear()

    def lowest(self, step: int) -> float:
        """The lowest validation loss that anybody has found after so many steps."""
        self.write()
        query = "SELECT min(validation) FROM losses WHERE step = ?"
        (found,) = self._database.execute(query, (step,)).fetchone()
        return float("inf") if found is None else float(found)


@dataclass(slots=True)
class Run:
    """A network after some steps, which is trained when somebody asks what it is worth.

    Attributes:
        history: The digest of the values at all steps before.
        step: How many these are.
        before: The network a step before; None: this is the untrained one.
        values: Those at the last step.
        state: The network's state, where it has been trained.
    """

    history: bytes
    step: int
    before: Run | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    state: Any = None


class Memoised:
    """A network as a response of the simulator: it reports ``loss`` and ``test``; searches are told of the former.

    The study's seed is the search's: the network is one and the same for all of them.

    Args:
        network: What is trained.
        memo: What is known of it.
    """

    def __init__(self, network: Network, memo: Memo) -> None:
        self._network = network
        self._memo = memo
        self.trained = 0  #: steps trained in this process, for want of a known loss

    def begin(self, seed: int) -> Run:
        return Run(b"", 0, state=self._network.untrained())

    def train(self, model: Run, step: int, values: Mapping[str, Any]) -> Run:
        digest = blake2b(model.history, digest_size=DIGEST_BYTES)
        for name in sorted(values):
            digest.update(name.encode() + b"=" + struct.pack("<d", values[name]))
        return Run(digest.digest(), step + 1, model, values)

    def evaluate(self, model: Run) -> dict[str, float]:
        validation, test = self.losses(model)
        return {"loss": validation, "test": test}

    def losses(self, model: Run) -> Losses:
        found = self._memo.get(model.history)
        if found is None:
            found = self._network.losses(self._state(model))
            self._memo.put(model.history, model.step, found)
        return found

    def _state(self, model: Run) -> Any:
        """Trains on from the last state that there is."""
        untrained = []
        at = model
        while at.state is None:
            untrained.append(at)
            assert at.before is not None
            at = at.before
        for run in reversed(untrained):
            assert run.before is not None
            run.state = self._network.train(run.before.state, run.before.step, run.values)
            self.trained += 1
        return model.state
