"""Writes the reference of metrics from what server and worker register: ``python docs/write_metrics.py``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from hippo_server.metrics import Metrics
from hippo_wire.observing.families import Family
from hippo_worker.metrics import WorkerMetrics

FILE = Path(__file__).parent / "reference" / "metrics.md"
HEAD = """# Metrics

Made from the code by `docs/write_metrics.py`. What to make of them is told in the [runbook](../runbook/index.md), in
[how to operate a server](../how-to/operate.md), and on the dashboard for Grafana in `deploy/grafana`.

Units are seconds and bytes, names end with them; counters end with `_total`. No label is a study, a trial, a user or a
parameter, so that there are never more series than what is listed here allows. Both pages also show the process itself
(`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_open_fds` and their like).
"""
SERVER = """
## The server

On `/metrics` of the server's HTTP port, for whoever has a token of any role but `join`. What is marked with a star only
the server that leads shows, so that sums over servers count nothing twice.

"""
WORKER = """
## The worker

On `/metrics` of the address that is given with `--metrics-address`, for whoever has the token in `metrics.token` of the
worker's data folder (or in the file that is named by `--metrics-token-file`).

"""


def page() -> str:
    """The page."""
    server, worker = Metrics(CollectorRegistry()), WorkerMetrics()
    starred = {family.name for family in server.families_of_leader}
    return f"{HEAD}{SERVER}{_table(server.families, starred)}{WORKER}{_table(worker.families, set())}"


def _table(families: Sequence[Family], starred: set[str]) -> str:
    lines = ["| metric | kind | labels | |", "|---|---|---|---|"]
    for family in sorted(families, key=lambda each: each.name):
        star = " *" if family.name in starred else ""
        labels = ", ".join(f"`{label}`" for label in family.labels)
        lines.append(f"| `{family.name}`{star} | {family.kind} | {labels} | {family.text} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    FILE.write_text(page())
