"""Studies and trials by the names that people give."""

from __future__ import annotations

import difflib

from hippo_core.engine.state import EngineState
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Trial
from hippo_core.errors import NotFound


def find_study(state: EngineState, project: str, name: str) -> Study:
    """The study of that name.

    Raises:
        NotFound: There is none; names the nearest.
    """
    study = state.study_named(project, name)
    if study is None:
        known = sorted(each for owner, each in state.names if owner == project)
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"Did you mean {', '.join(near)}?" if near else "hippo study ls lists the studies."
        raise NotFound(f"there is no study '{name}'.", hint)
    return study


def find_trial(study: Study, number: int) -> Trial:
    """The trial of that number.

    Raises:
        NotFound: There is none.
    """
    if number not in study.trials:
        coming = f", and {study.coming} more are being created" if study.coming else ""
        raise NotFound(
            f"study '{study.name}' has no trial {number}; it has {len(study.trials)} trials, from 0{coming}.",
            f"hippo trial ls {study.name} lists them.",
        )
    return study.trials[number]
