"""What the extension of a study came to, where more than the study itself is to be said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hippo_core.engine.states import ENDED_STUDY_STATES, StudyState
from hippo_wire.json_shapes import study_state

if TYPE_CHECKING:
    from hippo_wire.v1 import study_pb2


def extension_in_words(before: study_pb2.Study, after: study_pb2.Study) -> str:
    """That there was nothing to extend, or that nothing follows from it; empty: the study goes on."""
    name, state = after.name, study_state(after)
    if before.spec_json == after.spec_json:
        return f"The study {name} is so already; nothing to extend."
    if study_state(before) in ENDED_STUDY_STATES and state in ENDED_STUDY_STATES:
        if after.ending:
            what = f"a change of its ending {after.ending}"
        elif json.loads(after.spec_json)["horizons"]:
            what = "a larger --max-trials or a further --horizon"
        else:
            what = "a larger --max-trials or --max-steps"
        return f"The study {name} is changed and stays {state.value}; {what} takes it up again."
    if state is StudyState.PAUSED:
        return f"The study {name} is changed and stays paused; `hippo study resume {name}` takes it up again."
    return ""
