"""Studies as messages, with what only the shell knows: when things happened."""

from __future__ import annotations

from datetime import UTC

from hippo_core.engine.study_views import StudyView
from hippo_server.times import Times
from hippo_wire import render
from hippo_wire.v1 import study_pb2


def rendered(view: StudyView, times: Times) -> study_pb2.Study:
    """A study with its times."""
    known = times.of_study(view.id)
    message = render.study(view, known.created_at, known.ended_at, times.changes.get(view.id, ()))
    if view.waits_for_points and known.points_wanted_at is not None:
        since = known.points_wanted_at.astimezone(UTC)
        message.reason = f"{message.reason} (since {since:%Y-%m-%d %H:%M:%S} UTC)"
    return message
