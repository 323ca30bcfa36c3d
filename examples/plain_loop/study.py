"""When to lower the learning rate, and how far: nine schedules that begin alike.

    hippo run examples/plain_loop/study.py

Each trial's losses are, bit for bit, those that loop.py comes to with the same rates.
"""

import hippo_client as hippo
from hippo_client import schedules, space

study = hippo.Study(
    "trainer:CurveTrainer",
    {
        "lr": schedules.piecewise(
            [0.1, space.choice([0.03, 0.01, 0.003])], milestones=[space.choice([10, 15, 20])]
        )
    },
    name="plain-loop",
    minimize="loss",
    max_steps=30,
)

if __name__ == "__main__":
    print(hippo.run(study).best_trial)
