"""The studies that are trained: trials of one path each that share nothing, with ten metrics a step."""

from __future__ import annotations

from hippo_core import policies, samplers, space
from hippo_core.objective import Objective
from hippo_core.program import Program
from hippo_core.samplers import Sampler
from hippo_core.study import StudySpec

METRICS = {f"m{index}": 0.1 * index for index in range(10)}


def study(name: str, bundle: str, trials: int, steps: int, sampler: Sampler | None = None) -> StudySpec:
    """A study whose trials are all known at its beginning, unless another sampler is given.

    Args:
        name: Its name.
        bundle: With the trainer.
        trials: How many it has, or may have.
        steps: How far each is trained.
        sampler: By default random points.
    """
    searched = space.Space({"lr": space.uniform(0.0, 1.0)})
    program = Program(
        trainer="trainer:Trainer", code_digest=bundle, kinds=searched.kinds, options={"study": name}
    )
    return StudySpec(
        name=name,
        space=searched,
        objectives=(Objective(metric="m0", maximize=True),),
        max_trials=trials,
        max_steps=steps,
        sampler=sampler or samplers.random(),
        policy=policies.full(),
        program=program,
        bundle=bundle,
    )
