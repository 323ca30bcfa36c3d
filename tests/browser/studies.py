"""The studies that pages show in tests: some ended, one being trained, one paused, one with hostile text in it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from hippo_core.engine.commands import MetricsReport, StepsReport
from hippo_core.lease_order import LeaseOrder
from hippo_wire.connection import Connection
from hippo_wire.json_text import dump
from hippo_wire.v1 import admin_pb2, study_pb2
from tests.integration.server.conftest import RunningServer, choices, submit
from tests.integration.server.worker import Worker, working
from tests.studies import grid
from tests.waiting import until

DONE = "digits"
RUNNING = "running"
PAUSED = "paused"
HOSTILE = "hostile"
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;\"'"
NAMES = (DONE, RUNNING, PAUSED, HOSTILE)


def accuracy(node: int, step: int) -> float:
    """What the scripted worker measures: grows with the steps, and differs between nodes."""
    return round(1 - 0.9 ** (step + node % 5), 6)


@contextlib.contextmanager
def make_studies(server: RunningServer, client: Connection) -> Iterator[None]:
    """Makes the studies; ``RUNNING`` is being trained for as long as the context lasts."""
    schedules = {
        "lr": [
            {"schedule": "piecewise", "values": [0.1, 0.01], "milestones": [2]},
            {"schedule": "piecewise", "values": [0.1, 0.02], "milestones": [2]},
            {"schedule": "cosine", "initial": 0.2, "final": 0.0, "period": 6},
        ],
        "momentum": [0.8, 0.9],
    }
    submit_options(client, DONE, schedules, max_steps=6)
    submit_options(client, HOSTILE, {"act": [SCRIPT, "relu"]})
    # Before there is a worker, who might train all of it first.
    submit(client, "paused", name=PAUSED)
    client.studies.PauseStudy(study_pb2.PauseStudyRequest(request_id="pause", name=PAUSED))
    worker = Worker(server.connect(server.token("worker")), name="gpu-1", slots=2)
    holding = threading.Event()
    with working(worker) as stream:
        training = threading.Thread(target=lambda: _train(worker, stream, client, holding))
        training.start()
        until(lambda: all(_state(client, name) == "completed" for name in (DONE, HOSTILE)), "trained studies")
        cordon = admin_pb2.CordonWorkerRequest(request_id="cordon", worker="gpu-1", slot=1, reason=SCRIPT)
        holding.set()
        submit_options(client, RUNNING, schedules, max_steps=20)
        until(lambda: _reached(client) >= 3, "steps of the study that is being trained")
        client.admin.CordonWorker(cordon)
        yield
    training.join()


def submit_options(
    client: Connection, name: str, options: dict[str, list[object]], max_steps: int = 3
) -> None:
    """Submits the grid of options of schedules."""
    from hippo_core.space import Space
    from tests.integration.server.conftest import BUNDLE

    space = Space.from_json(
        {each: {"domain": "choice", "options": values} for each, values in options.items()}
    )
    study = grid(space, name=name, max_steps=max_steps, bundle=BUNDLE)
    request = study_pb2.SubmitStudyRequest(request_id=f"make {name}", spec_json=dump(study.to_json()))
    client.studies.SubmitStudy(request)


def _state(client: Connection, name: str) -> str:
    from hippo_wire import json_shapes

    study = client.studies.GetStudy(study_pb2.GetStudyRequest(name=name)).study
    return str(json_shapes.study_json(study)["state"])


def _reached(client: Connection) -> int:
    trials = client.studies.ListTrials(study_pb2.ListTrialsRequest(name=RUNNING)).trials
    return max(trial.step for trial in trials)


def _train(worker: Worker, stream: object, client: Connection, holding: threading.Event) -> None:
    """Trains what comes; once it is to hold, only the first steps of each path."""
    with contextlib.suppress(Exception):  # the stream is cancelled at the end
        for response in stream:  # type: ignore[attr-defined]
            for order in worker.note(response):
                if holding.is_set():
                    _begin(worker, order)
                else:
                    worker.train(order, accuracy)


def _begin(worker: Worker, order: LeaseOrder) -> None:
    """Trains three steps of a path, and goes no further."""
    stage = order.stages[0]
    stop = min(stage.start + 3, stage.stop)
    steps = StepsReport(
        node=stage.node, start=stage.start, stop=stop, train_seconds=0.3, evaluate_seconds=0.0
    )
    metrics = [
        MetricsReport(
            node=stage.node,
            step=step,
            metrics={"accuracy": accuracy(stage.node, step)},
            training={},
            evaluated=True,
        )
        for step in range(stage.start + 1, stop + 1)
    ]
    worker.report(order.fence, steps, *metrics)


__all__ = [
    "DONE",
    "HOSTILE",
    "NAMES",
    "PAUSED",
    "RUNNING",
    "SCRIPT",
    "choices",
    "make_studies",
    "submit_options",
]
