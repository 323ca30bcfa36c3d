"""Population based training: six networks, and every three epochs a fork of a good one takes the place of a bad one.

hippo run examples/digits/population.py
"""

import hippo_client as hippo
from hippo_client import policies, space

study = hippo.Study(
    "trainer:DigitsTrainer",
    {"lr": space.loguniform(1e-3, 1.0), "momentum": space.uniform(0.0, 0.95), "batch_size": 64},
    name="digits-population",
    maximize="accuracy",
    max_trials=6,
    max_steps=12,
    policy=policies.pbt(interval=3),
    options={"width": 4},
)

if __name__ == "__main__":
    best = hippo.run(study).best_trial
    print(best, best.lineage())
