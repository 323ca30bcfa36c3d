"""What came of a study, as tables and documents."""

import json

import pytest

from hippo_client import simulation, space
from hippo_client.errors import InvalidStudy
from hippo_wire.v1 import study_pb2
from tests.studies import grid
from tests.unit.client import recorded


def test_tables_are_made_of_the_export(run, service):
    pytest.importorskip("pandas")
    service.exports["digits"] = json.dumps(recorded.document()).encode()
    assert list(run.dataframe()["hippo_state"]) == ["completed", "stopped", "waiting"]
    assert list(run.dataframe(style="plain")["lr"])[1:] == ["piecewise([0.1, 0.02], milestones=[2])", 0.5]
    assert list(run.history().columns) == ["trial", "step", "metric", "value", "time"]


def test_the_stage_tree_is_that_of_the_server(run, service):
    service.trees["digits"] = [
        study_pb2.StageTreeNode(
            state="waiting", node=1, start=0, stop=3, trained=3, values_json='{"lr": 0.1}', trials=[0, 1]
        ),
        study_pb2.StageTreeNode(
            state="waiting", node=2, parent=1, start=3, stop=9, values_json='{"lr": 0.2}', trials=[1]
        ),
    ]
    tree = run.stage_tree()
    assert [(node.node, node.parent) for node in tree] == [(1, None), (2, 1)]


def test_an_export_is_written_as_it_comes_and_read(run, service, tmp_path):
    spec = grid({"lr": space.choice([0.1, 0.2])}, name="digits")
    content = {
        "hippo_study": 1, "name": "digits", "state": "running", "reason": "", "ending": "", "changes": 0,
        "spec": spec.to_json(),
        "environment": "", "created": "2026-01-02T03:04:05+00:00", "save_seconds": None, "start_seconds": None,
        "steps_trained": 0, "steps_without_sharing": 0,
        "trials": [], "training": [], "leases": [], "creations": [], "arrivals": [],
    }  # fmt: skip
    service.exports["digits"] = json.dumps(content).encode()
    file = tmp_path / "digits.json"
    recorded = run.export(file)
    assert (recorded.name, recorded.spec) == ("digits", spec)
    assert file.read_bytes() == service.exports["digits"]
    assert simulation.load(file) == recorded
    file.write_text("no JSON")
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    for wrong in (file, deep, tmp_path / "nowhere.json"):
        with pytest.raises(InvalidStudy, match=f"recorded: {wrong}"):
            simulation.load(wrong)
