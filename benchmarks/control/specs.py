"""The studies that are trained: by default trials of one path each that share nothing, with ten metrics a step."""

from __future__ import annotations

from hippo_core import policies, samplers, schedules, space
from hippo_core.objective import Objective
from hippo_core.program import Program
from hippo_core.samplers import Sampler
from hippo_core.study import StudySpec

METRICS = {f"m{index}": 0.1 * index for index in range(10)}
ALONE = space.Space({"lr": space.uniform(0.0, 1.0)})
"""Trials that share nothing."""
ALIKE = space.Space({"lr": schedules.multistep(0.1, space.uniform(0.1, 0.9), [space.integer(1, 10**9)])})
"""Trials that, drawn at random, are trained together, as they differ at a step to which none of them comes."""


def study(
    name: str,
    bundle: str,
    trials: int,
    steps: int,
    sampler: Sampler | None = None,
    searched: space.Space = ALONE,
) -> StudySpec:
    """A study whose trials are all known at its beginning, unless another sampler is given.

    Args:
        name: Its name.
        bundle: With the trainer.
        trials: How many it has, or may have.
        steps: How far each is trained.
        sampler: By default random points.
        searched: Where they lie.
    """
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
