"""Studies for tests of the core: everything has a default, so that a test names only what it is about."""

from hippo_core import policies, samplers
from hippo_core.objective import Objective
from hippo_core.program import Program
from hippo_core.space import Space
from hippo_core.study import StudySpec


def program(space, **changes):
    arguments = {"trainer": "trainer:Trainer", "code_digest": "code", "kinds": space.kinds, **changes}
    return Program(**arguments)


def study(space, *, program_changes=None, **changes):
    """A study over a space as a person writes it."""
    built = space if isinstance(space, Space) else Space(space)
    arguments = {
        "name": "study",
        "space": built,
        "objectives": (Objective(metric="accuracy", maximize=True),),
        "max_trials": 1,
        "max_steps": 27,
        "sampler": samplers.random(),
        "policy": policies.full(),
        "program": program(built, **(program_changes or {})),
        **changes,
    }
    return StudySpec(**arguments)


def grid(space, **changes):
    """The grid over a space as a person writes it, with all its points."""
    built = space if isinstance(space, Space) else Space(space)
    arguments = {"sampler": samplers.grid(), **changes}
    if "max_trials" not in arguments:
        arguments["max_trials"] = samplers.grid().count(built)
    return study(built, **arguments)


def grid_of_options(options, **changes):
    """The grid that chooses, for each name, among options given as JSON."""
    entries = {name: {"domain": "choice", "options": each} for name, each in options.items()}
    return grid(Space.from_json(entries), **changes)
