"""``hippo.run``: a study on this machine, from a script or a notebook."""

from __future__ import annotations

import time
import weakref
from typing import TYPE_CHECKING

from hippo_client.client import Client
from hippo_client.handles.study import StudyHandle
from hippo_client.origin import refuse_while_loading
from hippo_client.showing import choose_progress
from hippo_client.submission import Submission, prepare
from hippo_client.watching import GIVE_UP_SECONDS
from hippo_core.engine.states import StudyState
from hippo_core.errors import InvalidStudy, Unavailable
from hippo_core.policies import AutoSpec
from hippo_wire.json_shapes import study_state

if TYPE_CHECKING:
    from hippo_client.local import Attachment
    from hippo_client.study import Study
    from hippo_client.watching import Progress

AGAIN_SECONDS = 0.2
SLOTS_SECONDS = 20.0
"""How long the worker of this machine is waited for where the number of its slots decides something."""


def run(study: Study, slots: int | None = None, *, progress: bool | Progress = True) -> StudyHandle:
    """Trains a study on this machine until it has ended, with live progress.

    Starts a server and a worker, or attaches to those that run. Run again, it goes on where it stands; a
    study that has ended gives its result. Where its sampler or policy keeps failing, the study is paused, its
    ``reason`` says why, and this returns; run again, it tries again. Ctrl-C saves what runs and detaches.
    Where the local supervisor is killed, another one takes over.

    Args:
        study: The study.
        slots: How many paths are trained at a time; by default one per GPU, else cores // cpus.
        progress: Whether to show how it goes on; or what shows it.

    Returns:
        The study's handle. The server stays up for as long as the handle, or what was got from it, is in use.

    Raises:
        InvalidStudy: The study is wrong; nothing was started.
        Conflict: The study of that name has other content.
        Unavailable: The server cannot be started.
    """
    from hippo_client.local import Home, attach, keep_attached

    refuse_while_loading("run")
    if slots is not None and (isinstance(slots, bool) or not isinstance(slots, int) or slots < 1):
        raise InvalidStudy("slots", f"must be an int of at least 1, not {slots!r}.")
    submission = prepare(study)  # what is wrong with it is told before anything is started
    with choose_progress(progress) as shown:
        attachment = attach(Home.at(), slots, tell=shown.notice)
        return keep_attached(attachment, _Run(submission, shown).go_on, shown.notice)


class _Run:
    """A study that is trained on this machine, by one supervisor's server or by several one after the other."""

    def __init__(self, submission: Submission, shown: Progress) -> None:
        self._submission = submission
        self._shown = shown
        self._handle: StudyHandle | None = None

    def go_on(self, attachment: Attachment) -> StudyHandle:
        """Submits the study, or finds it again, and waits for its end."""
        try:
            client = Client.attached(attachment)
            # Whoever still holds a handle goes on asking: the server stays as long.
            weakref.finalize(client, attachment.close)
            if self._handle is None:
                self._handle = self._submit(client, attachment)
            else:
                self._handle = self._handle.at(client)
            self._handle.follow(self._shown, notices=attachment.notices)
        except KeyboardInterrupt:
            self._shown.notice("detaching; run again to resume")
            attachment.drain(self._shown.notice)
            raise
        return self._handle

    def _submit(self, client: Client, attachment: Attachment) -> StudyHandle:
        give_up = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                if isinstance(self._submission.spec.policy, AutoSpec):
                    _await_slots(client)
                handle = client.submit(self._submission)
                break
            except Unavailable:
                # The supervisor starts a server that died again; where it has gone itself, this raises.
                for said in attachment.notices():
                    self._shown.notice(said)
                if time.monotonic() > give_up:
                    raise
                time.sleep(AGAIN_SECONDS)
        self._shown.submitted(handle.last_heard, handle.outcome, handle.warnings)
        if study_state(handle.last_heard) is StudyState.PAUSED:
            self._shown.notice(f"{handle.name} was paused; it goes on")
            handle.resume()
        return handle


def _await_slots(client: Client) -> None:
    """Waits until the worker that was started is there: what is chosen is chosen for its slots."""
    from hippo_wire.v1 import admin_pb2

    give_up = time.monotonic() + SLOTS_SECONDS
    while time.monotonic() < give_up:
        workers = client.connection.admin.ListWorkers(admin_pb2.ListWorkersRequest()).workers
        if any(worker.state == admin_pb2.WORKER_STATE_LIVE for worker in workers):
            return
        time.sleep(AGAIN_SECONDS)
