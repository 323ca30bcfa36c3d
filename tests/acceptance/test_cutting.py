"""A path that yields its slot in a real system, and goes on from there with equal bits."""

from __future__ import annotations

from typing import Any

from hippo_client import StudyHandle
from hippo_client.study_file import load
from tests.acceptance.conftest import Pool, until
from tests.acceptance.oracle import bare

FILE = """
import hippo_client as hippo

study = hippo.Study(
    "trainers:Dropout",
    {{"lr": {lr}, "batch_size": 16, "momentum": 0.9}},
    name="{name}",
    maximize="accuracy",
    options={{"pause": 0.3}},
    max_steps={max_steps},
    priority={priority},
)
"""


def submit(pool: Pool, name: str, **words: Any) -> StudyHandle:
    file = pool.folder / f"{name}.py"
    file.write_text(FILE.format(name=name, **words))
    return pool.client().submit(load(str(file)))


def test_an_urgent_study_takes_the_slot_and_the_path_goes_on_with_equal_bits(pool: Pool) -> None:
    """1. The one slot trains a path that has minutes left. 2. A study of higher priority comes: the path saves and
    yields. 3. The urgent study ends, the path goes on. 4. Its metrics are those of a plain
    loop, and no step is retrained."""
    pool.start_worker("one")
    long = submit(pool, "long", lr=0.1, max_steps=400, priority=0)
    until(lambda: len(long.trials()[0].history()) >= 2, "the first steps")
    urgent = submit(pool, "urgent", lr=0.2, max_steps=3, priority=1)
    urgent.wait(timeout=120)
    (cut,) = pool.query(
        "SELECT fence, state FROM leases WHERE stop_reason = 'yields its slot to a path of higher priority'"
    )
    assert cut[1] == "released"
    reached = pool.query("SELECT max(trained) FROM lease_stages WHERE fence = %s", cut[0])[0][0]
    assert 2 <= reached < 400
    until(lambda: len(long.trials()[0].history()) >= reached + 3, "steps beyond those before the cut")
    long.stop()
    assert long.savings()["steps_retrained"] == urgent.savings()["steps_retrained"] == 0
    for handle in (long, urgent):
        trial = handle.trials()[0]
        history = trial.history()
        values = [trial.values(step=step) for step in range(len(history))]
        (alone,) = bare("Dropout", [values])
        assert [entry["metrics"] for entry in history] == alone["metrics"]
