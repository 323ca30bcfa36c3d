"""The studies of the paper, and sets of studies drawn from the first.

After Shin et al., *Hippo: Taming Hyper-parameter Optimization of Deep Learning with Stage Trees*: ResNet-56 (R1) and
MobileNetV2 (R2) on CIFAR-10, BERT (R3) on SQuAD. ``a -> b @ m`` there is ``piecewise([a, b], [m])`` here.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from hippo_core import samplers, schedules
from hippo_core.objective import Objective
from hippo_core.policies import PolicySpec
from hippo_core.program import Program
from hippo_core.schedules import cosine, cosine_restarts, exponential, linear, piecewise, warmup
from hippo_core.space import Space, choice
from hippo_core.study import StudySpec

Options = Mapping[str, Sequence[Any]]


def steps(*parts: float, at: Sequence[int]) -> schedules.Schedule:
    """``a -> b @ m -> c @ n``."""
    return piecewise(list(parts), milestones=list(at))


DECAYED = steps(0.1, 0.01, 0.001, at=[60, 90])

R1: Options = {
    "lr": [
        DECAYED,
        steps(0.1, 0.01, 0.001, at=[80, 100]),
        steps(0.1, 0.01, at=[90]),
        steps(0.1, 0.02, 0.004, 0.0008, at=[60, 80, 100]),
        warmup(5, DECAYED),
        warmup(5, exponential(0.1, 0.95)),
        cosine_restarts(0.1, 0.0, 20),
    ],
    "batch_size": [128, steps(128, 256, at=[60]), steps(128, 256, at=[100]), 256],
    "momentum": [
        0.9,
        steps(0.9, 0.95, at=[60]),
        steps(0.9, 0.95, at=[100]),
        steps(0.7, 0.8, 0.9, at=[40, 80]),
    ],
    "weight_decay": [1e-4, 5e-4],
    "nesterov": [0, 1],
}

R2: Options = {
    "lr": [
        DECAYED,
        steps(0.1, 0.01, 0.001, at=[80, 100]),
        steps(0.1, 0.01, 0.001, at=[90, 110]),
        steps(0.1, 0.02, 0.004, at=[60, 90]),
        warmup(5, steps(0.1, 0.01, 0.001, at=[55, 85])),
        warmup(5, steps(0.1, 0.01, 0.001, at=[75, 95])),
        warmup(5, exponential(0.1, 0.95)),
        exponential(0.1, 0.95),
        cosine_restarts(0.1, 0.0, 20),
        cosine(0.1, 0.0, 120),
    ],
    "batch_size": [128, steps(128, 256, at=[80]), steps(128, 256, at=[90]), steps(128, 512, at=[90])],
    "cutout": [16, steps(16, 18, 20, at=[90, 100]), steps(16, 20, at=[80])],
    "weight_decay": [4e-5, 1e-4],
}

R3: Options = {
    "lr": [
        linear(5e-5, 0.0, 27),
        linear(3e-5, 0.0, 27),
        steps(3e-5, 1e-5, at=[9]),
        steps(3e-5, 1e-5, at=[24]),
        3e-5,
    ],
    "batch_size": [16, steps(16, 32, at=[18]), steps(16, 32, at=[22]), 32],
    "max_length": [384, steps(128, 384, at=[20])],
}


def study(
    name: str, options: Options, max_steps: int, policy: PolicySpec, seed: int = 0, trials: int | None = None
) -> StudySpec:
    """The grid of a space.

    Args:
        name: Of the study.
        options: By hyper-parameter, what is chosen among.
        max_steps: How far a trial may be trained.
        policy: How far to train whom.
        seed: Of the program: studies of one seed share.
        trials: How many; None: all points.
    """
    space = Space({key: choice(list(each)) for key, each in options.items()})
    count = samplers.grid().count(space)
    assert count is not None
    return StudySpec(
        name=name,
        space=space,
        objectives=(Objective(metric="accuracy", maximize=True),),
        max_trials=count if trials is None else trials,
        max_steps=max_steps,
        sampler=samplers.grid(),
        policy=policy,
        program=Program(trainer="paper:Trainer", code_digest="paper", seed=seed, kinds=space.kinds),
    )


def drawn_from_r1(count: int, high_overlap: bool, seed: int, policy: PolicySpec) -> list[StudySpec]:
    """Studies of 45 trials: 5 of 7 learning rates, 3 of 4 batch sizes, 3 of 4 momenta each.

    Args:
        count: How many studies.
        high_overlap: All have the same weight decay and nesterov; else these are drawn for each study.
        seed: Decides what is drawn.
        policy: Of every study.
    """
    draw = random.Random(seed)
    common = {name: [draw.choice(R1[name])] for name in ("weight_decay", "nesterov")}
    studies = []
    for number in range(count):
        own = {name: [draw.choice(R1[name])] for name in common}
        options = {
            "lr": draw.sample(list(R1["lr"]), 5),
            "batch_size": draw.sample(list(R1["batch_size"]), 3),
            "momentum": draw.sample(list(R1["momentum"]), 3),
            **(common if high_overlap else own),
        }
        studies.append(study(f"study-{number}", options, 120, policy))
    return studies
