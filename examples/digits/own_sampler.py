"""A search of one's own, of twenty lines: each point is a small change of the best so far.

`hippo up`, then `python examples/digits/own_sampler.py`. With an optimiser of a library instead: outside.py.
"""

import random

import hippo_client as hippo
from hippo_client import samplers, schedules, space


def schedule(late_rate):
    """All trials begin alike, and so share their first three epochs."""
    return schedules.piecewise([0.05, late_rate], milestones=[3])


study = hippo.Study(
    "trainer:DigitsTrainer",
    {"lr": schedule(space.loguniform(1e-4, 0.5)), "momentum": 0.9, "batch_size": 64},
    name="digits-own-sampler",
    maximize="accuracy",
    max_trials=8,
    max_steps=6,
    checkpoint_every=3,  # later trials fork there, and nobody knows of them yet
    sampler=samplers.outside(),
    options={"width": 4},
)


def drive(run):
    """Two points at a time, until the study has all its trials."""
    chance = random.Random(0)
    while asked := run.ask(2):
        best = run.best_trial
        rate = best.hyperparameters["lr"]["values"][1] if best and best.metrics else 0.01
        for ask in asked:
            run.tell(ask, {"lr": schedule(min(max(rate * 10 ** chance.gauss(0, 0.5), 1e-4), 0.5)),
                           "momentum": 0.9, "batch_size": 64})  # fmt: skip


if __name__ == "__main__":
    with hippo.Client() as client:
        run = client.submit(study)
        drive(run)
        print(run.wait().best_trial)
