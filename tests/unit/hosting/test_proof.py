"""The proof of a trainer names the right cause, whichever of its experiments shows the difference first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hippo_worker.check.experiment import Experiment, Result, Run, State
from hippo_worker.check.proof import Proof
from tests.studies import study

COURSE = ({"lr": 0.1},) * 4


class Behaviour:
    """Stands for zygotes: the loss of an experiment depends on where it is carried out, and on nothing else."""

    def __init__(self, *, saving: float, addresses: float) -> None:
        self._saving, self._addresses = saving, addresses

    def get(self, hash_seed: int = 0, addresses: int = 0) -> Any:
        loss = self._addresses if addresses else 0.0
        return _Zygote(loss, self._saving if not addresses else loss)


class _Zygote:
    def __init__(self, plain: float, saving: float) -> None:
        self._plain, self._saving = plain, saving

    def start(self) -> None:
        pass

    def carry_out(self, experiment: Experiment, answer: Path) -> Result:
        loss = self._saving if experiment.save else self._plain
        states = {step: State(metrics={"loss": loss.hex()}) for step in range(1, len(COURSE) + 1)}
        warm = [Run(start, states=dict(states)) for start in experiment.warm]
        return Result(runs=[Run(experiment.start, states=states), *warm])


def checks(behaviour: Any, folder: Path) -> list[tuple[str, list[str]]]:
    program = study({"lr": 0.1}).program
    base = Experiment(
        program=program,
        code=folder,
        data_dir=folder,
        device="cpu",
        values=COURSE,
        secrets_file=Path("none"),
        saved=folder,
    )
    found = Proof(base, [COURSE], folder, behaviour).run()
    return [(name, [f"{each.check}: {each.message}" for each in problems]) for name, problems in found]


def test_addresses_that_saving_moves_are_not_blamed_on_saving(tmp_path: Path) -> None:
    *_, (name, problems) = checks(Behaviour(saving=1.0, addresses=2.0), tmp_path)
    assert name == "save"
    assert len(problems) == 1
    assert problems[0].startswith("repeat: The training depends on addresses in memory")


def test_what_only_saving_changes_is_blamed_on_saving(tmp_path: Path) -> None:
    *_, (name, problems) = checks(Behaviour(saving=1.0, addresses=0.0), tmp_path)
    assert name == "save"
    assert len(problems) == 1
    assert problems[0].startswith("save: Saving changes training: at step 1")


def test_what_depends_on_nothing_passes(tmp_path: Path) -> None:
    found = checks(Behaviour(saving=0.0, addresses=0.0), tmp_path)
    assert found == [(name, []) for name in ("train", "save", "repeat", "evaluate", "apply", "fresh", "warm")]
