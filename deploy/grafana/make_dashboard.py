"""Writes the dashboard for Grafana: ``python deploy/grafana/make_dashboard.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "dashboards" / "hippo.json"
WIDTH, HEIGHT = 24, 7
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
Query = tuple[str, str]  #: an expression, and what its series are called


def quantiles(histogram: str, *parts: float, name: str = "") -> list[Query]:
    """How much at most so many parts of all observations came to."""
    rate = f"rate({histogram}_bucket[$__rate_interval])"
    return [
        (f"histogram_quantile({part}, sum by (le) ({rate}))", f"{name} {part:.0%}".strip()) for part in parts
    ]


def rate(counter: str, legend: str, by: str = "") -> Query:
    """How fast a counter grows, as one series or by a label."""
    return f"sum{f' by ({by})' if by else ''} (rate({counter}[$__rate_interval]))", legend


def now(gauge: str, by: str) -> list[Query]:
    """What a gauge stands at, by a label."""
    return [(f"sum by ({by}) ({gauge})", f"{{{{{by}}}}}")]


CALLS = "hippo_rpc_duration_seconds"
SERVERS_FAULT = 'code=~"UNAVAILABLE|INTERNAL|UNKNOWN|DEADLINE_EXCEEDED"'
ERRORS = rate(f"{CALLS}_count{{{SERVERS_FAULT}}}", "")[0] + " / " + rate(f"{CALLS}_count", "")[0]
SERVER = 'job="hippo-server"'

#: By row: title, unit (as Grafana calls it), queries, and what the panel shows in words.
ROWS: dict[str, list[tuple[str, str, list[Query], str]]] = {
    "Overview": [
        (
            "Leaders",
            "none",
            [("sum(hippo_scheduler_leader)", "leaders")],
            "One is right: HippoDown, HippoNoLeader",
        ),
        ("Calls", "reqps", [rate(f"{CALLS}_count", "{{code}}", "code")], "Unary gRPC calls by status."),
        (
            "Calls: errors of the server",
            "percentunit",
            [(ERRORS, "errors")],
            "The part of all calls that the server could not answer.",
        ),
        ("Calls: duration", "s", quantiles(CALLS, 0.5, 0.95, 0.99), "Of unary calls, commits included."),
    ],
    "Queue and stages": [
        (
            "Stages still to run",
            "none",
            now("hippo_stages", "state"),
            "startable above 0 for long is wrong (HippoQueueStalled); unserved waits for another kind of worker.",
        ),
        (
            "Waiting for a slot, and training",
            "s",
            [
                *quantiles("hippo_stage_wait_seconds", 0.5, 0.9, name="wait"),
                *quantiles("hippo_stage_duration_seconds", 0.5, 0.9, name="duration"),
            ],
            "Waiting: of paths that were given a slot. Duration: training and evaluation of a stage.",
        ),
        (
            "What stages came to",
            "cps",
            [rate("hippo_stage_results_total", "{{result}} {{reason_class}}", "result, reason_class")],
            "HippoStageFailureRateHigh",
        ),
        (
            "Leases lost, writes refused",
            "cps",
            [
                rate("hippo_leases_expired_total", "leases not renewed in time"),
                rate("hippo_fenced_writes_total", "reports of leases that stood no more"),
            ],
            "Pauses, networks and hosts: HippoWorkersLost",
        ),
    ],
    "GPUs and workers": [
        ("GPUs", "none", now("hippo_gpus", "state"), "Of live workers."),
        (
            "GPU seconds per second",
            "none",
            [rate("hippo_gpu_seconds_total", "{{kind}}", "kind")],
            "used for new steps, lost to steps trained again, saved by sharing.",
        ),
        ("Slots", "none", now("hippo_slots", "state"), "Of live workers, those without GPUs too."),
        ("Workers", "none", now("hippo_workers", "state"), "HippoWorkersLost"),
    ],
    "Checkpoints and storage": [
        (
            "Publishing a checkpoint",
            "s",
            quantiles("hippo_checkpoint_publish_seconds", 0.5, 0.95),
            "From the moment that a path stops until the state is durable.",
        ),
        (
            "Checkpoints written",
            "Bps",
            [rate("hippo_checkpoint_bytes_total", "written")],
            "Of those published.",
        ),
        (
            "Storage",
            "bytes",
            [
                ("min(hippo_storage_free_bytes)", "free"),
                ("max(hippo_storage_size_bytes)", "size"),
                ("sum(hippo_checkpoint_kept_bytes)", "checkpoints kept"),
            ],
            "HippoStorageFillingUp; object stores have no size.",
        ),
        (
            "Saves that failed, checkpoints lost",
            "cps",
            [
                rate("hippo_checkpoint_publish_failures_total", "not saved: {{reason}}", "reason"),
                rate("hippo_checkpoint_corrupt_total", "corrupt"),
                rate("hippo_checkpoint_missing_total", "missing"),
            ],
            "HippoCheckpointPublishFailing, HippoCheckpointCorrupt",
        ),
    ],
    "Database and server": [
        (
            "Transactions",
            "s",
            quantiles("hippo_db_commit_duration_seconds", 0.5, 0.99),
            "Of the writer, all that waits in one.",
        ),
        (
            "Errors of the database",
            "cps",
            [
                rate("hippo_db_errors_total", "class {{sqlstate_class}}", "sqlstate_class"),
                rate("hippo_db_retries_total", "tried again"),
                rate("hippo_rebuilds_total", "state read anew"),
            ],
            "HippoDatabaseUnavailable",
        ),
        (
            "Event loop: how late",
            "s",
            quantiles("hippo_event_loop_lag_seconds", 0.5, 0.99),
            "What holds the loop up holds up every call.",
        ),
        (
            "Processor",
            "none",
            [rate(f"process_cpu_seconds_total{{{SERVER}}}", "{{instance}}", "instance")],
            "Cores that the servers' processes keep busy.",
        ),
    ],
}


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        panels.append({"type": "row", "id": len(panels) + 1, "title": title, "collapsed": False,
                       "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y}, "panels": []})  # fmt: skip
        y += 1
        width = WIDTH // len(row)
        for place, (name, unit, queries, text) in enumerate(row):
            position = {"h": HEIGHT, "w": width, "x": place * width, "y": y}
            panels.append(_panel(len(panels) + 1, name, unit, queries, text, position))
        y += HEIGHT
    return {
        "uid": "hippo",
        "title": "Hippo",
        "description": "Studies, stages, GPUs, checkpoints and the server itself.",
        "tags": ["hippo"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                    "current": {},
                    "hide": 0,
                }
            ]
        },
        "annotations": {"list": []},
        "panels": panels,
    }


def _panel(
    number: int, title: str, unit: str, queries: list[Query], text: str, position: dict[str, int]
) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "id": number,
        "title": title,
        "description": text,
        "datasource": SOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 10}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(queries)
        ],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(dashboard(), indent=2) + "\n")
