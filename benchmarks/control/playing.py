"""Plays stand-in workers against a server, and says what that cost each process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks.control.serving import Served
from benchmarks.control.stand_in import Counted, Options

PROGRAM = "from benchmarks.control.stand_in import main; main()"


@dataclass(frozen=True, slots=True)
class Played:
    """What was counted, and the processor seconds of it.

    Attributes:
        counted: By the stand-in.
        server: Processor seconds of the server.
        postgres: Of PostgreSQL.
        memory_bytes: Of the server, afterwards.
    """

    counted: Counted
    server: float
    postgres: float
    memory_bytes: int

    def shares(self, count: int) -> str:
        """Microseconds of processor time for each of so many operations."""
        parts = {
            "server": self.server,
            "PostgreSQL": self.postgres,
            "stand-in": self.counted.processor_seconds,
        }
        return ", ".join(f"{name} {1e6 * used / max(1, count):.0f}" for name, used in parts.items())


def play(
    served: Served,
    daemons: int,
    slots: int,
    *,
    batch: int = 0,
    rate: float = 0.0,
    ahead: int = 0,
    train_seconds: float = 0.0,
    seconds: float = 5.0,
    look: Callable[[], None] = lambda: None,
) -> Played:
    """Plays daemons for some seconds; see ``Options``. ``look`` is called when they begin and when they end."""
    options = Options(
        address=served.address,
        token_file=str(served.worker_token_file),
        daemons=daemons,
        slots=slots,
        batch=batch,
        rate=rate,
        ahead=ahead,
        train_seconds=train_seconds,
        seconds=seconds,
    )
    line = [sys.executable, "-c", PROGRAM, json.dumps(asdict(options))]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        begun = process.stdout.readline()
        look()
        before = served.usage()
        said = process.stdout.readline()
        after = served.usage()
        look()
    if begun.strip() != "begin" or not said:
        raise RuntimeError("the stand-in failed")
    return Played(
        Counted(**json.loads(said)),
        after.server - before.server,
        after.postgres - before.postgres,
        after.memory_bytes,
    )


def quantile(values: list[float], share: float) -> float:
    """The value that so large a share of them does not pass."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
