"""Which parameters matter: reckoned in a process aside, for so long at most, and remembered while nothing changes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections import OrderedDict

from hippo_core.charts.selection import Selection
from hippo_core.errors import Unavailable

SECONDS = 20.0
MOST_REMEMBERED = 64
LEAST_TRIALS = 10
"""Of fewer trials one in ten is none: there is nothing to reckon with."""


class Importances:
    """Reckons importances by PED-ANOVA, one study at a time.

    Args:
        seconds: For how long at most, waiting included.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._one = asyncio.Lock()
        self._known: OrderedDict[bytes, dict[str, float]] = OrderedDict()

    async def of(self, selection: Selection) -> dict[str, float]:
        """The importance of each parameter that all trials have; none where there are too few trials.

        Raises:
            Unavailable: It took too long, or could not be reckoned.
        """
        if len({value for _, value in selection.valued}) < 2 or len(selection.valued) < LEAST_TRIALS:
            return {}
        question = await asyncio.to_thread(_question, selection)
        key = hashlib.sha256(question).digest()
        try:
            async with asyncio.timeout(self._seconds), self._one:
                if key not in self._known:
                    self._known[key] = await _asked(question)
        except TimeoutError as error:
            raise Unavailable(
                f"importances were not reckoned within {self._seconds:g} s.",
                "Try again, or with fewer trials.",
            ) from error
        self._known.move_to_end(key)
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        return self._known[key]


def _question(selection: Selection) -> bytes:
    trials = [{"drawn": dict(trial.assignment or {}), "value": value} for trial, value in selection.valued]
    return json.dumps(
        {"space": selection.spec.space.to_json(), "maximize": selection.maximize, "trials": trials},
        sort_keys=True,
    ).encode()


async def _asked(question: bytes) -> dict[str, float]:
    """What the process answers; it is given no credentials, and is ended with the wait for it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HIPPO_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hippo_server.web.charts.importance_child",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    try:
        answer, _ = await process.communicate(question)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise Unavailable(
            "importances could not be reckoned.", "Look whether Optuna can be imported where the server runs."
        )
    found: dict[str, float] = json.loads(answer)
    return found
