"""scikit-optimize searches, Hippo trains: it makes the points of a study, and learns from what they come to.

`hippo run examples/digits/outside.py` trains, and waits for points; `python examples/digits/outside.py`, in another
terminal, makes them. Either can be stopped and started again: what was trained is learnt from anew.
"""

import hippo_client as hippo
from hippo_client import samplers, schedules, space

BATCH_SIZES, MOMENTA = [32, 64], [0.9, 0.95]


def schedule(late_rate):
    """All trials begin alike, so that those of one batch size and momentum share their first epochs."""
    return schedules.piecewise([0.05, late_rate], milestones=[3])


study = hippo.Study(
    "trainer:DigitsTrainer",
    {
        "lr": schedule(space.loguniform(1e-4, 5e-2)),
        "batch_size": space.choice(BATCH_SIZES),
        "momentum": space.choice(MOMENTA),
    },
    name="digits-outside",
    maximize="accuracy",
    max_trials=10,
    max_steps=6,
    checkpoint_every=3,  # later trials fork there, and nobody knows of them yet
    sampler=samplers.outside(),
)


def drive(run):
    """Ask, tell, learn, until the study has all its trials."""
    from skopt import Optimizer
    from skopt.space import Categorical, Real

    searched = [Real(1e-4, 5e-2, prior="log-uniform"), Categorical(BATCH_SIZES), Categorical(MOMENTA)]
    optimizer = Optimizer(searched, n_initial_points=4, random_state=0)
    mark, pending = 0, set()
    while asked := run.ask(2):
        trials, mark = run.results(since=mark)
        for trial in trials:
            values = trial.hyperparameters
            point = [values["lr"]["values"][1], values["batch_size"], values["momentum"]]
            optimizer.tell(point, -(trial.metrics.get("accuracy") or 0.0))  # it minimises
            pending.discard(trial.number)
        # Of so many points at once, the last keep away from the first, which stand for those in training.
        points = optimizer.ask(len(pending) + len(asked))[len(pending) :]
        for ask, (late_rate, batch_size, momentum) in zip(asked, points, strict=True):
            point = {"lr": schedule(late_rate), "batch_size": batch_size, "momentum": momentum}
            pending.add(run.tell(ask, point).number)


if __name__ == "__main__":
    with hippo.Client() as client:
        run = client.submit(study)
        drive(run)
        print(run.wait().best_trial)
