"""The reference lists what is exposed, as it is."""

from __future__ import annotations

import re

from docs import write_metrics
from tests.observability.expressions import families

BOUNDED = {
    *("state", "kind", "of", "outcome", "activity", "reason", "result", "reason_class", "sqlstate_class"),
    *("method", "code", "page", "command", "event"),
    *("version", "python"),
}


def test_the_reference_of_metrics_is_current() -> None:
    assert write_metrics.FILE.read_text() == write_metrics.page(), "run: python docs/write_metrics.py"


def test_names_follow_the_rules() -> None:
    """Prefix, unit at the end and ``_total`` for counters; no label that grows with studies, users or their words."""
    for family in families():
        assert re.fullmatch(r"hippo(_[a-z]+)+", family.name), family.name
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name
        if family.kind == "histogram":
            assert family.name.endswith(("_seconds", "_submissions")), family.name
        assert set(family.labels) <= BOUNDED, family.name
        assert family.text.endswith("."), family.name
    assert len({family.name for family in families()}) == len(families())
