"""Runs paths in a process of its own: reads the orders as JSON, writes what the links were told as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.order import PathOrder
from tests.unit.hosting.memory_link import MemoryLink

ROOT = Path(__file__).parents[3]


def run_in_fresh_process(orders: list[PathOrder], timeout_seconds: float = 120) -> list[list[list[Any]]]:
    """For each order, everything that the link was told, and last the result's class and words."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.hosting.fresh_process"],
        input=json.dumps([order.to_plain() for order in orders]),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=timeout_seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: list[list[list[Any]]] = json.loads(done.stdout)
    return told


def main() -> None:
    answers = []
    for plain in json.load(sys.stdin):
        link, host = MemoryLink(), PathHost("cpu", 1)
        result = host.run(PathOrder.from_plain(plain), link)
        host.close()
        answers.append([*link.told, ["result", type(result).__name__, getattr(result, "message", "")]])
    json.dump(answers, sys.stdout, default=str)


if __name__ == "__main__":
    main()
