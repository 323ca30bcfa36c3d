"""Which of the slots that idle trains a path that none has the state of in memory."""

from __future__ import annotations

from hippo_core import space
from hippo_core.engine.commands import SubmitStudy
from hippo_core.study import StudySpec
from tests.studies import grid
from tests.unit.engine.cluster import Cluster


def spec(name: str, seed: int, rates: list[float]) -> StudySpec:
    return grid({"lr": space.choice(rates)}, name=name, max_steps=3, program_changes={"seed": seed})


def granted(cluster: Cluster, study: StudySpec) -> list[int]:
    """The slots that train a study from the beginning; it is brought to its end."""
    cluster.tell(SubmitStudy(project="default", user="u", spec=study))
    slots = sorted(lease.slot for lease in cluster.engine.state.leases.values())
    cluster.run()
    return slots


def test_a_slot_that_trained_the_program_is_taken_then_one_that_has_trained_none() -> None:
    """1. Two of four slots train a program. 2. Another takes none of these. 3. Both take again what they took."""
    cluster = Cluster(0, {"a": 4})
    assert granted(cluster, spec("one", 1, [0.1, 0.2])) == [0, 1]
    assert granted(cluster, spec("other", 2, [0.1])) == [2]
    assert granted(cluster, spec("other-again", 2, [0.3])) == [2]
    assert granted(cluster, spec("third", 3, [0.1])) == [3]
    assert granted(cluster, spec("one-again", 1, [0.3, 0.4])) == [0, 1]
    assert granted(cluster, spec("all", 2, [0.4, 0.5, 0.6, 0.7])) == [0, 1, 2, 3]
