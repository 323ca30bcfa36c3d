"""A study that ran on a laptop goes on on the team's server, from an archive, with equal bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from hippo_client.archives import is_archive, send_archive, write_archive
from hippo_client.handles.study import StudyHandle
from hippo_wire import enums
from hippo_wire.v1 import study_pb2
from tests.acceptance.nemesis import Arena
from tests.acceptance.oracle import distinct_prefixes
from tests.acceptance.test_backup import arenas
from tests.acceptance.test_faults import (
    EVERY,
    LONGER,
    between_saves,
    expect_as_alone,
    expect_clean,
    read,
    study,
)

__all__ = ["arenas"]


def shown(handle: StudyHandle) -> object:
    """What `hippo study show` says, but for what is only estimated, and whether a slot trains."""
    message = handle.refresh()
    savings = dict(handle.savings())
    savings.pop("seconds_saved")
    counts = dict(message.trial_counts)
    open_ones = counts.pop("running", 0) + counts.pop("waiting", 0)
    return counts, open_ones, message.spec_json, message.best_trial.number, savings


def imported(arena: Arena, archive: Path) -> study_pb2.ImportStudyResponse:
    return send_archive(arena.client().connection, archive, None)


@pytest.mark.soak
def test_a_study_moves_from_a_laptop_to_a_server_and_goes_on_there(
    arenas: tuple[Arena, Arena],
    tmp_path: Path,
) -> None:
    """1. A study runs; steps are committed that no checkpoint covers, and it is exported with its checkpoints. 2. On
    another server, with a database and a storage of its own, it comes paused and shows the same. 3. Imported once more
    it is the same study. 4. Another study of the program is submitted, and it is resumed: both end with the bits of
    plain loops, and nothing is trained that came with a checkpoint; nobody is billed for what came."""
    first, second = arenas
    archive = tmp_path / "grid.archive"
    first.start_server()
    there = first.client().submit(study(first))
    first.start_worker("one", 1)
    first.happens("CheckpointPublished", after=0)
    with between_saves(first):
        written = write_archive(first.client().connection, "grid", archive, checkpoints=True)
        before, seen = shown(there), read(there)
        had = first.rows("SELECT sum(trained - start)::int FROM nodes")[0][0]
    first.close()
    assert written.checkpoints > 0
    assert is_archive(archive.read_bytes()[:512])

    second.start_server()
    found = imported(second, archive)
    assert found.outcome == enums.OUTCOMES["created"]
    assert (found.steps_brought, found.checkpoints_brought) == (had, written.checkpoints)
    handle = second.client().study("grid")
    assert handle.state == "paused"
    assert (shown(handle), read(handle)) == (before, seen)
    once_more = imported(second, archive)
    assert once_more.outcome == enums.OUTCOMES["unchanged"]
    assert (once_more.steps_brought, once_more.checkpoints_brought) == (0, 0)

    other = study(first, "other")
    beside = second.client().submit(other)
    handle.resume()
    second.start_worker("two", 1)
    for each in (handle, beside):
        each.wait(progress=False, timeout=120)
        expect_as_alone(second.rows, each)
    expect_clean(second.rows)
    trained_here = second.rows(
        "SELECT sum(trained - start)::int FROM lease_stages JOIN leases USING (fence) WHERE worker IS NOT NULL"
    )[0][0]
    again = trained_here - (distinct_prefixes(LONGER) - had)
    assert 0 <= again <= EVERY, "only what no checkpoint covered is trained again"
    savings = handle.savings()
    assert savings["steps_trained"] == distinct_prefixes(LONGER) + again
    assert savings["steps_retrained"] == again
    [(billed, seconds)] = second.rows(
        """
        SELECT (SELECT sum(slot_microseconds)::float8 / 1e6 FROM bills), sum(train_seconds + evaluate_seconds)
        FROM lease_stages JOIN leases USING (fence) WHERE worker IS NOT NULL
        """
    )
    assert abs(billed - seconds) < 1e-3
