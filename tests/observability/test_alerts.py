"""The alerts fire and clear as they should; each has a page of the runbook; they ask for what there is."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability.expressions import asked, unknown

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
RUNBOOK = ROOT / "docs" / "runbook"


def alerts() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    return found


def test_each_alert_fires_clears_and_is_silent_at_rest(promtool: str) -> None:
    """As alerts.yaml beside this file says, by promtool."""
    cases = Path(__file__).with_name("alerts.yaml")
    tested = yaml.safe_load(cases.read_text())["tests"]
    for name in [each["alert"] for each in alerts()]:
        checks = [check for test in tested for check in test["alert_rule_test"] if check["alertname"] == name]
        assert any(check.get("exp_alerts") for check in checks), f"{name} is never seen to fire"
        assert any(not check.get("exp_alerts") for check in checks), f"{name} is never seen to be silent"
        assert any(check["alertname"] == name for check in tested[0]["alert_rule_test"]), f"{name} at rest"
    done = subprocess.run([promtool, "test", "rules", str(cases)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_what_is_exposed_and_leads_to_its_page(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert asked(alert["expr"])
    assert unknown(alert["expr"]) == set()
    assert alert["labels"]["severity"] in {"critical", "warning", "info"}
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["runbook_url"] == f"https://docs.example.org/hippo/runbook/{name}.html"
    page = (RUNBOOK / f"{name}.md").read_text()
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings == [f"# {name}", "## What it means", "## What to look at", "## What to do"]
    assert f"| [{name}]({name}.md) | {alert['labels']['severity']} |" in (RUNBOOK / "index.md").read_text()


@pytest.mark.parametrize("page", sorted(RUNBOOK.glob("*.md")), ids=lambda page: page.stem)
def test_the_runbook_names_metrics_that_there_are(page: Path) -> None:
    import re

    code = [*re.findall(r"`([^`\n]+)`", page.read_text())]
    for expression in code:
        assert unknown(expression) == set(), expression
    assert page.stem in {"index", *(each["alert"] for each in alerts())}
