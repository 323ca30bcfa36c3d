"""Searches that were run, kept on disk: a search is run once for each state of the code that decides in it."""

from __future__ import annotations

import json
import os
import time
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

from benchmarks.search.algorithms import Algorithm
from benchmarks.search.memo import FOLDER
from benchmarks.search.problems import Problem
from benchmarks.search.progress import Progress

HERE = Path(__file__).resolve().parent
CORE = HERE.parent.parent / "hippo_core"


def run(problem: Problem, algorithm: Algorithm, seed: int, slots: int) -> Progress:
    """What a search comes to, from disk if it was run before.

    Args:
        problem: What is searched.
        algorithm: By whom.
        seed: Of the search.
        slots: How many trials are under way at a time.
    """
    file = _file(problem, algorithm, seed, slots)
    if file.exists():
        return Progress.from_json(json.loads(file.read_text())["progress"])
    began = time.process_time()
    found = algorithm.run(problem, seed, slots)
    problem.memo.write()
    kept = {"seconds": time.process_time() - began, "progress": found.to_json()}
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(kept))
    unfinished.replace(file)
    return found


def is_known(problem: Problem, algorithm: Algorithm, seed: int, slots: int) -> bool:
    return _file(problem, algorithm, seed, slots).exists()


def _file(problem: Problem, algorithm: Algorithm, seed: int, slots: int) -> Path:
    """By all that decides: two names of one study are one search."""
    folder = (
        FOLDER / "runs" / f"{problem.name}-{problem.network.identity()}" / _digest(problem, algorithm, slots)
    )
    return folder / f"{slots}-{seed}.json"


@cache
def _digest(problem: Problem, algorithm: Algorithm, slots: int) -> str:
    decides = f"{_code(algorithm.own)}\n{algorithm.words(problem, slots)}"
    return blake2b(decides.encode(), digest_size=8).hexdigest()


@cache
def _code(own: bool) -> str:
    """The digest of what decides: of Hippo's core, or Optuna's version; and of this package's part in it."""
    files = [HERE / each for each in (("ours.py",) if own else ("peers.py",))]
    if own:
        files += sorted(CORE.rglob("*.py"))
    found = blake2b(digest_size=6)
    for file in files:
        found.update(file.read_bytes())
    if not own:
        found.update(version("optuna").encode())
    return found.hexdigest()
