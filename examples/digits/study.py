"""64 ways to train the digits network: eight learning-rate schedules, four batch sizes, two momenta.

`hippo plan examples/digits/study.py` tells what sharing will save, before anything is spent;
`hippo run examples/digits/study.py` trains it on this machine.
"""

import hippo_client as hippo
from hippo_client import policies, schedules, space

decayed = schedules.multistep(0.05, gamma=0.1, milestones=[9, 18])

study = hippo.Study(
    "trainer:DigitsTrainer",
    {
        "lr": space.choice(
            [
                decayed,
                schedules.multistep(0.05, gamma=0.2, milestones=[9]),
                schedules.multistep(0.05, gamma=0.1, milestones=[18]),
                schedules.piecewise([0.05, schedules.cosine(0.05, 0.0, period=18)], milestones=[9]),
                schedules.wsd(0.05, warmup=0, stable=20, decay=6),
                schedules.warmup(3, decayed),
                schedules.warmup(3, schedules.cosine(0.05, 0.0, period=24)),
                schedules.cosine(0.02, 0.0, period=27),
            ]
        ),
        "batch_size": space.choice(
            [
                32,
                64,
                schedules.piecewise([32, 128], milestones=[9]),
                schedules.piecewise([32, 128], milestones=[18]),
            ]
        ),
        "momentum": space.choice([0.9, schedules.piecewise([0.9, 0.95], milestones=[9])]),
    },
    name="digits",
    maximize="accuracy",
    max_steps=27,
    policy=policies.asha(min_steps=1, reduction_factor=3),
)

if __name__ == "__main__":
    print(hippo.run(study).best_trial)
