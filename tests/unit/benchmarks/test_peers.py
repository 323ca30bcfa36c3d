"""The workload of the comparison with peers, and how its epochs are counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.peers import notes, workload


def prefixes(points: list[workload.Point]) -> set[tuple[workload.Values, ...]]:
    histories = [tuple(point.values(epoch) for epoch in range(workload.EPOCHS)) for point in points]
    return {history[: epoch + 1] for history in histories for epoch in range(workload.EPOCHS)}


def test_two_thirds_of_the_epochs_differ_in_what_came_before():
    points = workload.points()
    assert (len(points), len(set(points))) == (64, 64)
    assert len(points) * workload.EPOCHS == 1_728
    assert len(prefixes(points)) == 1_152


def test_epochs_are_counted_over_processes_and_distinct_by_their_histories(tmp_path: Path):
    (tmp_path / "1.jsonl").write_text(json.dumps(["a", 1, 10.0, 10.25, 0.2]) + "\n")
    (tmp_path / "2.jsonl").write_text(
        json.dumps(["a", 1, 9.5, 9.75, 0.2]) + "\n" + json.dumps(["b", 2, 10.0, 10.5, 0.25]) + "\n"
    )
    found = notes.read(tmp_path)
    assert (found.count, found.distinct, found.processes) == (3, 2, 2)
    assert (found.first, found.last, found.seconds) == (9.5, 10.5, 1.0)
    assert found.processor_seconds == pytest.approx(0.65)
    assert found.idle_seconds(slots=2) == 1.0


def test_a_run_in_which_nothing_was_trained_is_an_error(tmp_path: Path):
    with pytest.raises(ValueError, match="no epoch"):
        notes.read(tmp_path)
