"""The search of study.py, under a policy of one's own."""

import hippo_client as hippo
from hippo_client import policies, schedules, space

study = hippo.Study(
    "trainer:DigitsTrainer",
    {
        "lr": space.choice(
            [
                schedules.multistep(0.1, gamma=0.1, milestones=[9, 18]),
                schedules.piecewise([0.1, 0.02], milestones=[9]),
                schedules.piecewise([0.1, 0.02, 0.004], milestones=[9, 18]),
                0.3,
            ]
        ),
        "batch_size": space.choice([32, schedules.piecewise([32, 128], milestones=[18])]),
        "momentum": space.choice([0.0, 0.9]),
    },
    name="digits-own-policy",
    maximize="accuracy",
    max_steps=27,
    policy=policies.own("own_policy:SmoothedHalving", window=3),
)

if __name__ == "__main__":
    print(hippo.run(study).best_trial)
