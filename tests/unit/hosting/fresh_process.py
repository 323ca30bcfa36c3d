"""Runs one path in a process of its own: reads the order as JSON, writes what the link was told as JSON."""

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


def run_in_fresh_process(order: PathOrder) -> list[list[Any]]:
    """Everything that the link was told, and last the result's class."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.hosting.fresh_process"],
        input=json.dumps(order.to_plain()),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: list[list[Any]] = json.loads(done.stdout)
    return told


def main() -> None:
    order = PathOrder.from_plain(json.load(sys.stdin))
    link = MemoryLink()
    host = PathHost("cpu", 1)
    result = host.run(order, link)
    host.close()
    json.dump(
        [*link.told, ["result", type(result).__name__, getattr(result, "message", "")]],
        sys.stdout,
        default=str,
    )


if __name__ == "__main__":
    main()
