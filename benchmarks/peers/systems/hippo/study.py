"""The workload's 64 points as a study of Hippo's; ``PEERS_PART`` is ``grid`` or ``asha``.

With ``PEERS_STOPPING`` the ASHA is the one that stops trials, as the peers' are.
"""

from __future__ import annotations

import os

import workload

import hippo_client as hippo
from hippo_client import policies, schedules, space

ASHA = policies.asha(
    min_steps=workload.FIRST_RUNG,
    reduction_factor=workload.REDUCTION_FACTOR,
    stopping="PEERS_STOPPING" in os.environ,
)

study = hippo.Study(
    "trainer:Digits",
    {
        "lr": space.choice(
            [
                schedules.piecewise([each.initial, each.final], milestones=[each.milestone])
                for each in workload.SCHEDULES
            ]
        ),
        "batch_size": space.choice(list(workload.BATCH_SIZES)),
        "momentum": space.choice(list(workload.MOMENTA)),
    },
    name=os.environ["PEERS_PART"],
    minimize="loss",
    max_steps=workload.EPOCHS,
    policy=ASHA if os.environ["PEERS_PART"] == "asha" else policies.full(),
    options={name: value for name, value in os.environ.items() if name.startswith("PEERS_")},
)
