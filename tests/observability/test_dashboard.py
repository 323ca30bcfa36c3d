"""The dashboard for Grafana: what it asks for is exposed, and it fits wherever it is brought."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import yaml

from tests.observability.expressions import asked, unknown

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "grafana"
ROWS = ["Overview", "Queue and stages", "GPUs and workers", "Checkpoints and storage", "Database and server"]


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "dashboards" / "hippo.json").read_text())
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in board()["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """Those of all panels."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def test_it_is_current() -> None:
    made = runpy.run_path(str(FOLDER / "make_dashboard.py"))
    assert board() == made["dashboard"](), "run: python deploy/grafana/make_dashboard.py"


def test_each_expression_asks_for_what_is_exposed() -> None:
    for expression in expressions():
        assert asked(expression), expression
        assert unknown(expression) == set(), expression
        assert re.findall(r"\[([^]]+)]", expression) == ["$__rate_interval"] * expression.count("["), (
            expression
        )


def test_it_can_be_told_apart_and_brought_anywhere() -> None:
    """A uid of its own, whatever source of data, units, and panels that do not cover each other."""
    assert board()["uid"] == "hippo"
    assert [each["name"] for each in board()["templating"]["list"] if each["type"] == "datasource"] == [
        "datasource"
    ]
    assert [panel["title"] for panel in board()["panels"] if panel["type"] == "row"] == ROWS
    assert len(board()["panels"]) <= 25
    assert len({panel["id"] for panel in board()["panels"]}) == len(board()["panels"])
    cells: set[tuple[int, int]] = set()
    for panel in board()["panels"]:
        at = panel["gridPos"]
        covered = {
            (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
        }
        assert max(x for x, _ in covered) < 24
        assert not covered & cells, panel["title"]
        cells |= covered
    for panel in panels():
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def test_grafana_is_told_where_it_lies() -> None:
    (provider,) = yaml.safe_load((FOLDER / "provisioning/dashboards/hippo.yaml").read_text())["providers"]
    assert provider["type"] == "file"
    (source,) = yaml.safe_load((FOLDER / "provisioning/datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["type"] == "prometheus"
