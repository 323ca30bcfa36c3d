"""A second study that begins where a first one ended: with its best point, and with what it has trained.

python examples/digits/warm_start.py

The first looks for the learning rate to begin with. The second goes on from the best of these, and asks what should
follow. Its trials share the first study's epochs, though it knows nothing of that study but a point.
"""

import hippo_client as hippo
from hippo_client import schedules, space

CHANGE = 6

first = hippo.Study(
    "trainer:DigitsTrainer",
    {"lr": space.choice([0.3, 0.1, 0.03, 0.01]), "momentum": 0.9, "batch_size": 64},
    name="digits-first",
    maximize="accuracy",
    max_steps=CHANGE,
    options={"width": 4},
)


def second(best):
    """The study that follows a trial of the first."""
    rate = best.hyperparameters["lr"]
    later = space.loguniform(rate / 100, rate, name="later")
    return hippo.Study(
        "trainer:DigitsTrainer",
        {
            "lr": schedules.piecewise([rate, later], milestones=[CHANGE]),
            "momentum": 0.9,
            "batch_size": 64,
        },
        name="digits-second",
        maximize="accuracy",
        max_trials=6,
        max_steps=2 * CHANGE,
        initial=[{"lr": schedules.piecewise([rate, rate / 10], milestones=[CHANGE])}],
        options={"width": 4},
    )


if __name__ == "__main__":
    best = hippo.run(first).best_trial
    print("first:", best)
    print("second:", hippo.run(second(best)).best_trial)
