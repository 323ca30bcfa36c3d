"""Accuracy against the number of pixels that are looked at: there is no one best trial, but a Pareto front.

hippo run examples/two_objectives/study.py

The penalty sets in at epoch 10, so that all trials of one learning rate share the epochs before.
"""

import hippo_client as hippo
from hippo_client import schedules, space

study = hippo.Study(
    "trainer:SparseTrainer",
    {
        "lr": space.choice([0.2, 0.8]),
        "penalty": schedules.piecewise(
            [0.0, space.choice([0.0, 0.005, 0.01, 0.02, 0.04, 0.08])], milestones=[10]
        ),
    },
    name="two-objectives",
    maximize="accuracy",
    minimize="pixels",
    max_steps=25,
)

if __name__ == "__main__":
    for trial in hippo.run(study).best_trials:
        print(trial.metrics, trial.hyperparameters)
