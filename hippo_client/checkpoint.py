"""A trial's checkpoint, streamed from the server: clients need no access to the storage."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hippo_client.request_ids import CHANGE_SECONDS, new_request_id
from hippo_core.errors import HippoError

if TYPE_CHECKING:
    from hippo_client.client import Client
    from hippo_storage.manifest import Manifest
    from hippo_wire.connection import Connection
    from hippo_wire.v1 import checkpoint_pb2, study_pb2


class Checkpoint:
    """The state of a trial at a step, as it is kept in the server's storage.

    Args:
        client: The client that found it.
        study: The study's name.
        trial: The trial's number.
        step: The state's step.
        size_bytes: Sum of its files' sizes.
    """

    def __init__(self, client: Client, study: str, trial: int, step: int, size_bytes: int) -> None:
        self._client = client
        self.study = study
        self.trial = trial
        self.step = step
        self.size_bytes = size_bytes

    def load(self) -> Any:
        """The trainer's state, as its ``state_dict`` gave it; tensors in host memory.

        Raises:
            NotFound: It is not kept any more.
            CheckpointCorrupt: What arrived is not what was saved.
            StateError: It needs torch, which is not installed here.
        """
        from hippo_storage import state

        with tempfile.TemporaryDirectory(prefix="hippo-") as folder:
            self.download(folder)
            # Beside it lie the random generators' states and the modules' modes, which are the worker's business.
            return state.read(Path(folder))["trainer"]

    def download(self, folder: Path | str) -> list[Path]:
        """Writes its files into a folder and verifies them; if that fails, nothing of them stays.

        Args:
            folder: Made if it lacks; must be empty.

        Returns:
            The files: tensors in ``*.safetensors``, the rest as data.

        Raises:
            NotFound: It is not kept any more.
            CheckpointCorrupt: What arrived is not what was saved.
            FileExistsError: The folder is not empty.
        """
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise FileExistsError(f"{target} is not empty")
        received: list[Path] = []
        try:
            _receive(self._stream(), target, received)
            return _verified(target, received)
        except BaseException:
            for path in received:
                path.unlink(missing_ok=True)
            raise

    def pin(self) -> Checkpoint:
        """Keeps it, whatever the budgets say.

        Raises:
            NotFound: It is not kept any more.
        """
        from hippo_wire.v1 import checkpoint_pb2

        request = checkpoint_pb2.PinCheckpointRequest(
            request_id=new_request_id(), name=self.study, trial=self.trial, step=self.step
        )
        self._client.connection.checkpoints.PinCheckpoint(request, timeout=CHANGE_SECONDS)
        return self

    def unpin(self) -> Checkpoint:
        """Lets its pin go; one that is not pinned stays as it is."""
        from hippo_wire.v1 import checkpoint_pb2

        request = checkpoint_pb2.UnpinCheckpointsRequest(
            request_id=new_request_id(), name=self.study, trial=self.trial, step=self.step
        )
        self._client.connection.checkpoints.UnpinCheckpoints(request, timeout=CHANGE_SECONDS)
        return self

    def _stream(self) -> Iterable[study_pb2.DownloadCheckpointResponse]:
        from hippo_wire.v1 import study_pb2

        stream: Iterable[study_pb2.DownloadCheckpointResponse] = (
            self._client.connection.studies.DownloadCheckpoint(
                study_pb2.DownloadCheckpointRequest(name=self.study, trial=self.trial, step=self.step)
            )
        )
        return stream

    def __repr__(self) -> str:
        size = f"{self.size_bytes / 2**20:.1f} MiB"
        return f"<Checkpoint of trial {self.trial} of {self.study} at step {self.step}, {size}>"


def _receive(
    messages: Iterable[study_pb2.DownloadCheckpointResponse], folder: Path, received: list[Path]
) -> None:
    from hippo_storage.manifest import MANIFEST, is_file_name

    with ExitStack() as opened:
        file: IO[bytes] | None = None
        for message in messages:
            if message.file:
                if message.file != MANIFEST and not is_file_name(message.file):
                    raise _garbled(f"it sent a file named {message.file!r}")
                opened.close()
                path = folder / message.file
                file = opened.enter_context(path.open("xb"))
                received.append(path)
            if file is None:
                raise _garbled("it sent data before the name of a file")
            file.write(message.data)


def _verified(folder: Path, received: list[Path]) -> list[Path]:
    from hippo_storage.errors import CheckpointCorrupt
    from hippo_storage.files import digest_of
    from hippo_storage.manifest import MANIFEST

    manifest = _read_manifest(folder / MANIFEST)
    missing = sorted(manifest.files.keys() - {path.name for path in received})
    if missing:
        raise _garbled(f"it did not send {missing[0]}")
    for name, entry in sorted(manifest.files.items()):
        path = folder / name
        if path.stat().st_size != entry.size_bytes or digest_of(path) != entry.digest:
            raise CheckpointCorrupt(
                f"{name} of {manifest.location} arrived otherwise than it was saved.", "Download it again."
            )
    return [folder / name for name in sorted(manifest.files)]


def _read_manifest(path: Path) -> Manifest:
    from hippo_storage.manifest import CheckpointLocation, decode

    try:
        data = path.read_bytes()
        body = json.loads(data)
        location = CheckpointLocation(**{name: body[name] for name in ("plan", "node", "step", "fence")})
    except FileNotFoundError:
        raise _garbled("it sent no manifest") from None
    except (ValueError, KeyError, TypeError) as error:
        raise _garbled(f"it sent a manifest that cannot be read ({error})") from error
    return decode(data, location)


def _garbled(what: str) -> HippoError:
    return HippoError(
        f"The server did not send a checkpoint as expected: {what}.",
        "Install the same version on both sides.",
    )


def kept_checkpoints(
    connection: Connection, study: str
) -> tuple[list[checkpoint_pb2.KeptCheckpoint], checkpoint_pb2.ListCheckpointsResponse]:
    """All checkpoints of a study, and the last page of the answer, which tells of the budgets."""
    from hippo_wire.v1 import checkpoint_pb2

    found: list[checkpoint_pb2.KeptCheckpoint] = []
    token = ""
    while True:
        page: checkpoint_pb2.ListCheckpointsResponse = connection.checkpoints.ListCheckpoints(
            checkpoint_pb2.ListCheckpointsRequest(name=study, page_token=token)
        )
        found.extend(page.checkpoints)
        token = page.next_page_token
        if not token:
            return found, page


def checkpoint_json(kept: checkpoint_pb2.KeptCheckpoint) -> dict[str, Any]:
    """A checkpoint as ``hippo checkpoint ls --json`` prints it."""
    return {
        "node": kept.node,
        "step": kept.step,
        "fence": kept.fence,
        "bytes": kept.size_bytes,
        "need": kept.need,
        "reason": kept.reason,
        "steps": kept.steps,
        "seconds": kept.seconds,
        "trials": list(kept.trials),
        "trial_count": kept.trial_count,
    }


def find_checkpoint(
    client: Client, study: str, trial: int, kept: Iterable[study_pb2.Checkpoint], step: int | None
) -> Checkpoint:
    """The checkpoint of a trial at a step, or the last one that is kept.

    Args:
        client: The client that found it.
        study: The study's name.
        trial: The trial's number.
        kept: The checkpoints on the trial's path.
        step: The state's step; None: the last.

    Raises:
        NotFound: None is kept, or none of that step; names those that are.
    """
    from hippo_core.errors import NotFound

    by_step = {each.step: each for each in kept}
    wanted = max(by_step, default=None) if step is None else step
    if wanted is None or not by_step:
        raise NotFound(f"no checkpoint of trial {trial} of {study} is kept.", "It may not be trained yet.")
    if wanted not in by_step:
        steps = ", ".join(map(str, sorted(by_step))) or "none"
        raise NotFound(
            f"no checkpoint of trial {trial} of {study} at step {wanted} is kept.",
            f"Steps with one: {steps}.",
        )
    return Checkpoint(client, study, trial, wanted, by_step[wanted].size_bytes)
