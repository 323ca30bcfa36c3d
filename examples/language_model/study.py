"""Which learning rate for which length of training: one trunk for each rate, and a cool-down for each length.

`hippo plan examples/language_model/study.py` tells what sharing saves; `hippo run examples/language_model/study.py`
trains it, in less than a minute on a CPU.
"""

import hippo_client as hippo
from hippo_client import schedules, space

study = hippo.Study(
    "trainer:CharacterModel",
    {"lr": schedules.wsd(peak=space.choice([0.001, 0.003, 0.01, 0.03]), warmup=20, decay=0.2)},
    name="language-model",
    minimize="loss",
    horizons=[200, 400, 800],
    unit="iteration",
    evaluate_every=20,
    options={"training": ["argparse", "ast", "inspect", "tarfile", "typing"], "test": ["pdb", "shutil"]},
    data_version="standard library",
)

if __name__ == "__main__":
    for horizon, trial in hippo.run(study).best_by_horizon.items():
        print(horizon, trial)
