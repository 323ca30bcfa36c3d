"""From a study to what a server is sent: the bundle, the code digest, the compiled study."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hippo_client import class_source
from hippo_client.class_kinds import POLICY
from hippo_core.policies import OwnSpec

if TYPE_CHECKING:
    from hippo_client.study import Study
    from hippo_core.study import StudySpec
    from hippo_storage.bundle import Bundle
    from hippo_wire.connection import Connection
    from hippo_wire.v1 import study_pb2

UPLOAD_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A study ready to be sent.

    Attributes:
        spec: The compiled study, with its code digest and bundle.
        bundle: Its code.
    """

    spec: StudySpec
    bundle: Bundle

    def spec_json(self) -> str:
        """The study as JSON text."""
        return json.dumps(self.spec.to_json(), ensure_ascii=False, allow_nan=False)


def prepare(study: Study) -> Submission:
    """Checks the sources of trainer and policy, digests the code and packs the bundle. Imports nothing of the user's.

    Raises:
        InvalidStudy: One of them does not exist or lacks a method, a file does not parse, or the study's folder
            cannot travel.
    """
    from hippo_storage import bundle, layout

    folder, code, exclude = study.origin.folder, study.code_paths, folders_that_stay()
    files = layout.collect(folder, code, exclude)
    paths = {name: source.path for name, source in files.items()}
    class_source.check(study.trainer, paths)
    spec = study.spec()
    if isinstance(spec.policy, OwnSpec):
        class_source.check(spec.policy.reference, paths, POLICY)
        class_source.check_arguments(spec.policy.reference, spec.policy.arguments, paths, POLICY)
    packed = bundle.build(folder, code, exclude)
    return Submission(spec=replace(spec, bundle=packed.digest), bundle=packed)


def folders_that_stay() -> tuple[Path, ...]:
    """Folders that are in no bundle: the home in use, which may lie within the study's folder."""
    from hippo_client.local import default_home

    return (default_home(),)


def upload(connection: Connection, bundle: Bundle) -> None:
    """Gives the server the bundle, if it lacks it.

    Raises:
        InvalidStudy: The server does not take it.
    """
    from hippo_wire.streams import Upload
    from hippo_wire.v1 import study_pb2

    found: study_pb2.FindBundleResponse = connection.studies.FindBundle(
        study_pb2.FindBundleRequest(digest=bundle.digest)
    )
    if not found.found:
        connection.studies.UploadBundle(Upload(lambda: _pieces(bundle)), timeout=UPLOAD_SECONDS)


def _pieces(bundle: Bundle) -> Iterator[study_pb2.UploadBundleRequest]:
    from hippo_wire.streams import pieces
    from hippo_wire.v1 import study_pb2

    digest = bundle.digest
    for data in pieces([bundle.archive]):
        yield study_pb2.UploadBundleRequest(digest=digest, data=data)
        digest = ""
