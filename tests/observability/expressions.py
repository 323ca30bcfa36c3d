"""Which metrics expressions of PromQL ask for, and which of those are exposed."""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry

from hippo_server.metrics import Metrics
from hippo_wire.observing.families import Family
from hippo_worker.metrics import WorkerMetrics

_NAME = re.compile(r"\b(?:hippo|process)_[a-z0-9_]+\b|\bup\b")
_SELECTOR = re.compile(r"\b((?:hippo|process)_[a-z0-9_]+)\{([^}]*)\}")
#: What every program exposes, and what Prometheus itself says of each.
SHARED = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}


def families() -> tuple[Family, ...]:
    """All that server and worker expose."""
    return (*Metrics(CollectorRegistry()).families, *WorkerMetrics().families)


def exposed() -> dict[str, set[str]]:
    """The names of samples, and their labels."""
    found: dict[str, set[str]] = {name: set() for name in SHARED}
    for family in families():
        labels = set(family.labels)
        if family.kind == "histogram":
            found |= {f"{family.name}_sum": labels, f"{family.name}_count": labels}
            found[f"{family.name}_bucket"] = {*labels, "le"}
        else:
            found[family.name] = labels
    return found


def asked(expression: str) -> set[str]:
    """The metrics that an expression asks for."""
    return set(_NAME.findall(re.sub(r"\b(?:by|without|on|ignoring) ?\([^)]*\)", "", expression)))


def unknown(expression: str) -> set[str]:
    """Metrics, and labels of theirs, that nothing exposes."""
    known = exposed()
    found = asked(expression) - known.keys()
    for name, matchers in _SELECTOR.findall(expression):
        labels = set(re.findall(r"(\w+) ?=?[=!]", matchers)) - {"job", "instance"}
        found |= {f"{name}{{{label}}}" for label in labels - known.get(name, set())}
    return found
