"""Families of metrics, each with what it counts in words: made here, so that the reference lists them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that nobody asks for

#: Upper bounds of histograms, in seconds: of calls and transactions, and of what trains or waits.
CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family as the reference lists it.

    Attributes:
        name: As it is exposed; a histogram's without ``_bucket``, ``_sum`` and ``_count``.
        kind: counter, gauge or histogram.
        labels: The names of its labels.
        text: What it counts.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


class Families:
    """Makes families, and remembers them.

    Args:
        registry: Where they are registered; each server and worker has one of its own.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.made: list[Family] = []

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """A number that only grows; its name ends with ``_total``."""
        self._note(name, "counter", text, labels)
        return Counter(name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """A number that goes up and down."""
        self._note(name, "gauge", text, labels)
        return Gauge(name, text, labels, registry=self.registry)

    def unknown_gauge(self, name: str, text: str) -> Gauge:
        """A gauge that is not exposed before ``known`` was called with it."""
        self._note(name, "gauge", text, ())
        return Gauge(name, text, registry=None)

    def known(self, gauge: Gauge) -> None:
        """Exposes a gauge from now on."""
        self.registry.register(gauge)

    def histogram(
        self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        """How many observations are at most so large."""
        self._note(name, "histogram", text, labels)
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def info(self, name: str, text: str, **values: str) -> None:
        """What does not change while the process lives, as labels of a 1."""
        self._note(f"{name}_info", "gauge", text, tuple(values))
        Info(name, text, registry=self.registry).info(values)

    def process(self) -> None:
        """The process itself: processor time, memory, open files; under the names that every program has for these."""
        ProcessCollector(registry=self.registry)

    def _note(self, name: str, kind: str, text: str, labels: Sequence[str]) -> None:
        self.made.append(Family(name=name, kind=kind, labels=tuple(labels), text=text))
