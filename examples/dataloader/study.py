"""When to begin dropping out, how much, and whether to grow the batch: twelve ways that begin alike.

hippo run examples/dataloader/study.py
"""

import hippo_client as hippo
from hippo_client import schedules, space

study = hippo.Study(
    "trainer:DropoutTrainer",
    {
        "lr": 0.005,
        "dropout": schedules.piecewise(
            [0.0, space.choice([0.1, 0.3, 0.5])], milestones=[space.choice([3, 6])]
        ),
        "batch_size": space.choice([32, schedules.piecewise([32, 128], milestones=[9])]),
    },
    name="dataloader",
    maximize="accuracy",
    max_steps=12,
)

if __name__ == "__main__":
    print(hippo.run(study).best_trial)
