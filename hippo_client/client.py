"""The client of a server: submits studies and finds them again."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from hippo_client.endpoint import Endpoint, find_attached, find_endpoint
from hippo_client.handles.study import Studies, StudyHandle
from hippo_client.origin import refuse_while_loading
from hippo_client.request_ids import new_request_id as new_request_id
from hippo_client.submission import Submission, prepare, upload
from hippo_client.watching import StudySnapshot, Watch

if TYPE_CHECKING:
    from hippo_client.local import Attachment
    from hippo_client.study import Study
    from hippo_wire.connection import Connection
    from hippo_wire.streams import Responses
    from hippo_wire.v1 import study_pb2

#: A study of many trials is laid out in the search plan before the answer comes.
SUBMIT_SECONDS = 120.0
_PAGE_SIZE = 100


class Client:
    """Talks to one server. May be used from several threads, and as a context manager.

    Args:
        server: ``host:port``, or several with commas between where some stand by for another; by default
            ``HIPPO_SERVER``, else that of ``hippo login``, else this machine's.
        token: By default ``HIPPO_TOKEN``, else what ``HIPPO_TOKEN_FILE`` holds, else that of ``hippo login``, else this
            machine's.
        ca: A PEM file with the authorities of the server's certificate, or ``"system"`` for those that this machine
            trusts; by default ``HIPPO_CA``. Without one nothing is encrypted, and the server must be on this machine.

    Raises:
        Unavailable: No server is named, and none runs on this machine.
        NotAllowed: There is no token for it.
        InvalidStudy: The server's address makes no sense.
    """

    def __init__(
        self, server: str | None = None, token: str | None = None, ca: str | Path | None = None
    ) -> None:
        self._open(find_endpoint(server, token, ca))

    @classmethod
    def attached(cls, attachment: Attachment) -> Self:
        """A client of a home's server that is held up; acts as the token that is named, else as the home's owner."""
        made = cls.__new__(cls)
        made._open(find_attached(attachment.server, attachment.token))
        return made

    def _open(self, endpoint: Endpoint) -> None:
        from hippo_wire.connection import Connection

        self._connection = Connection(endpoint.server, endpoint.token, endpoint.trust, endpoint.origin)
        # A client that is forgotten must not leave its channel's threads behind.
        self._finalizer = weakref.finalize(self, self._connection.close)

    @property
    def server(self) -> str:
        """``host:port`` of the server that is talked to now."""
        return self._connection.address

    @property
    def connection(self) -> Connection:
        """The connection, for calls that have no method here."""
        return self._connection

    def submit(self, study: Study | Submission) -> StudyHandle:
        """Submits a study, finds the equal one of that name, or extends it.

        Code that the server lacks is uploaded first.

        Raises:
            InvalidStudy: The study, or its trainer's source, is wrong; nothing was submitted.
            Conflict: The study of that name has other content; the hint shows the difference.
        """
        from hippo_wire import enums
        from hippo_wire.v1 import study_pb2

        refuse_while_loading("submit")
        submission = study if isinstance(study, Submission) else prepare(study)
        upload(self._connection, submission.bundle)
        response: study_pb2.SubmitStudyResponse = self._connection.studies.SubmitStudy(
            study_pb2.SubmitStudyRequest(request_id=new_request_id(), spec_json=submission.spec_json()),
            timeout=SUBMIT_SECONDS,
        )
        return StudyHandle(
            self,
            response.study,
            outcome=enums.outcome(response.outcome),
            warnings=tuple(response.warnings),
        )

    def study(self, name: str) -> StudyHandle:
        """The study of that name.

        Raises:
            NotFound: There is none.
        """
        from hippo_wire.v1 import study_pb2

        response: study_pb2.GetStudyResponse = self._connection.studies.GetStudy(
            study_pb2.GetStudyRequest(name=name)
        )
        return StudyHandle(self, response.study)

    def studies(self) -> list[StudyHandle]:
        """All studies of the project, newest first."""
        return Studies(StudyHandle(self, message) for message in self._list_studies())

    def watch(self, name: str) -> Iterator[StudySnapshot]:
        """The study whenever it changes, until it has ended; through restarts of the server.

        Raises:
            NotFound: There is none of that name.
            Unavailable: The server was out of reach for a minute.
        """
        with self.open_watch(name) as watch:
            for snapshot in watch.snapshots():
                if snapshot is not None:
                    yield snapshot

    def open_watch(self, name: str) -> Watch:
        """As ``watch``, for callers that do something else meanwhile."""
        from hippo_wire.v1 import study_pb2

        def open_stream() -> Responses[study_pb2.WatchStudyResponse]:
            stream: Any = self._connection.studies.WatchStudy(study_pb2.WatchStudyRequest(name=name))
            responses: Responses[study_pb2.WatchStudyResponse] = stream
            return responses

        return Watch(open_stream)

    def close(self) -> None:
        """Ends the connection; handles of this client cannot be used any more."""
        self._finalizer()

    def _list_studies(self) -> Iterator[study_pb2.Study]:
        from hippo_wire.v1 import study_pb2

        token = ""
        while True:
            page: study_pb2.ListStudiesResponse = self._connection.studies.ListStudies(
                study_pb2.ListStudiesRequest(page_size=_PAGE_SIZE, page_token=token)
            )
            yield from page.studies
            token = page.next_page_token
            if not token:
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client of {self.server}>"
