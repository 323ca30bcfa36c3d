"""A server in memory on a real socket: answers as the server does, and can lose what it says."""

import json
from concurrent import futures

import grpc
from blake3 import blake3

from hippo_core.errors import Conflict, HippoError, NotAllowed, NotFound, Unavailable
from hippo_core.study import StudySpec
from hippo_core.study_changes import differences, extends
from hippo_wire.errors import to_wire
from hippo_wire.v1 import study_pb2, study_pb2_grpc

TOKEN = "the-token"


def fail(context, error, **options):
    wire = to_wire(error, **options)
    context.set_trailing_metadata(wire.metadata)
    context.abort(wire.code, wire.details)


class StudyService(study_pb2_grpc.StudyServiceServicer):
    """Keeps what it is told.

    ``lose`` counts down: so many changes are made, and their replies lost. ``answers`` are those by request id.
    """

    def __init__(self):
        self.studies = {}
        self.specs = {}
        self.trials = {}
        self.details = {}
        self.explanations = {}
        self.trees = {}
        self.exports = {}
        self.logs = {}
        self.checkpoints = {}
        self.bundles = {}
        self.changes = []
        self.asked = []
        self.asks = []
        self.answers = {}
        self.lose = 0
        self.failing_uploads = 0
        self.page_size = 2
        self.watches = []
        self.state_when_submitted = study_pb2.STUDY_STATE_RUNNING

    def add(self, study, trials=()):
        self.studies[study.name] = study
        self.trials[study.name] = list(trials)

    def SubmitStudy(self, request, context):  # noqa: N802
        return self._change(context, request, lambda: self._submit(request))

    def GetStudy(self, request, context):  # noqa: N802
        return study_pb2.GetStudyResponse(study=self._find(context, request.name))

    def ListStudies(self, request, context):  # noqa: N802
        found = list(reversed(self.studies.values()))
        start = int(request.page_token or 0)
        end = start + self.page_size
        return study_pb2.ListStudiesResponse(
            studies=found[start:end], next_page_token=str(end) if end < len(found) else ""
        )

    def WatchStudy(self, request, context):  # noqa: N802
        """Plays the next list of messages; an error in it ends the stream."""
        self._find(context, request.name)
        for message in self.watches.pop(0):
            if isinstance(message, HippoError):
                fail(context, message)
            yield message

    def PauseStudy(self, request, context):  # noqa: N802
        return self._set_state(context, request, study_pb2.PauseStudyResponse, study_pb2.STUDY_STATE_PAUSED)

    def ResumeStudy(self, request, context):  # noqa: N802
        return self._set_state(context, request, study_pb2.ResumeStudyResponse, study_pb2.STUDY_STATE_RUNNING)

    def StopStudy(self, request, context):  # noqa: N802
        return self._set_state(context, request, study_pb2.StopStudyResponse, study_pb2.STUDY_STATE_STOPPED)

    def ExtendStudy(self, request, context):  # noqa: N802
        study = self._find(context, request.name)
        return self._change(context, request, lambda: study_pb2.ExtendStudyResponse(study=study))

    def EditStudy(self, request, context):  # noqa: N802
        study = self._find(context, request.name)
        present = StudySpec.from_json(json.loads(study.spec_json))
        lines = differences(StudySpec.from_json(json.loads(request.spec_json)), present, 50)

        def edit():
            study.spec_json = request.spec_json
            return study_pb2.EditStudyResponse(study=study, differences=lines, warnings=["rounded"])

        if request.dry_run:
            return study_pb2.EditStudyResponse(study=study, differences=lines)
        return self._change(context, request, edit)

    def RetryTrials(self, request, context):  # noqa: N802
        study = self._find(context, request.name)
        return self._change(
            context, request, lambda: study_pb2.RetryTrialsResponse(study=study, trial_count=3)
        )

    def StopTrial(self, request, context):  # noqa: N802
        detail = self.details[request.name, request.trial]

        def stop():
            had_ended = detail.trial.state == study_pb2.TRIAL_STATE_STOPPED
            detail.trial.state = study_pb2.TRIAL_STATE_STOPPED
            return study_pb2.StopTrialResponse(trial=detail.trial, stopped=not had_ended)

        return self._change(context, request, stop)

    def ExtendTrial(self, request, context):  # noqa: N802
        detail = self.details[request.name, request.trial]

        def extend():
            detail.trial.max_steps = request.to
            return study_pb2.ExtendTrialResponse(trial=detail.trial, extended=True, warnings=["rounded"])

        return self._change(context, request, extend)

    def ForkTrial(self, request, context):  # noqa: N802
        trial = study_pb2.Trial(
            number=len(self.trials[request.name]),
            hyperparameters_json=request.hyperparameters_json,
            parent=request.trial,
            forked_at=request.at,
        )

        def fork():
            self.trials[request.name].append(trial)
            return study_pb2.ForkTrialResponse(trial=trial)

        return self._change(context, request, fork)

    def AskPoints(self, request, context):  # noqa: N802
        """Plays the next answer."""
        self.asked.append(request)
        return self.asks.pop(0)

    def ListResults(self, request, context):  # noqa: N802
        """The study's trials from number ``since`` on, a page at a time; it has ended where it says so."""
        self.asked.append(request)
        trials = self.trials[request.name][request.since : request.since + request.page_size]
        ended = self.studies[request.name].state == study_pb2.STUDY_STATE_COMPLETED
        return study_pb2.ListResultsResponse(trials=trials, mark=request.since + len(trials), ended=ended)

    def EnqueueTrial(self, request, context):  # noqa: N802
        trial = study_pb2.Trial(
            number=len(self.trials[request.name]), hyperparameters_json=request.point_json
        )

        def enqueue():
            self.trials[request.name].append(trial)
            return study_pb2.EnqueueTrialResponse(trial=trial)

        return self._change(context, request, enqueue)

    def DeleteStudy(self, request, context):  # noqa: N802
        if request.request_id not in self.answers:
            self._find(context, request.name)

        def delete():
            del self.studies[request.name]
            return study_pb2.DeleteStudyResponse(trial_count=len(self.trials[request.name]))

        return self._change(context, request, delete)

    def ListTrials(self, request, context):  # noqa: N802
        self._find(context, request.name)
        found = self.trials[request.name]
        start = int(request.page_token or 0)
        end = start + self.page_size
        return study_pb2.ListTrialsResponse(
            trials=found[start:end], next_page_token=str(end) if end < len(found) else ""
        )

    def GetTrial(self, request, context):  # noqa: N802
        detail = self.details.get((request.name, request.trial))
        if detail is None:
            fail(context, NotFound(f"{request.name} has no trial {request.trial}."))
        return detail

    def ExplainTrial(self, request, context):  # noqa: N802
        return self.explanations[request.name, request.trial]

    def GetStageTree(self, request, context):  # noqa: N802
        return study_pb2.GetStageTreeResponse(nodes=self.trees[request.name])

    def ExportStudy(self, request, context):  # noqa: N802
        self._find(context, request.name)
        document = self.exports[request.name]
        for start in range(0, len(document), 100):
            yield study_pb2.ExportStudyResponse(data=document[start : start + 100])

    def ReadTrialLog(self, request, context):  # noqa: N802
        for text in self.logs[request.name, request.trial]:
            yield study_pb2.ReadTrialLogResponse(node=1, fence=1, text=text)

    def FindBundle(self, request, context):  # noqa: N802
        return study_pb2.FindBundleResponse(found=request.digest in self.bundles)

    def UploadBundle(self, requests, context):  # noqa: N802
        digest, data = "", b""
        for request in requests:
            digest = digest or request.digest
            data += request.data
        if self.failing_uploads:
            self.failing_uploads -= 1
            fail(context, Unavailable("The server ends."))
        assert blake3(data).hexdigest() == digest
        self.bundles[digest] = data
        return study_pb2.UploadBundleResponse(size_bytes=len(data))

    def DownloadCheckpoint(self, request, context):  # noqa: N802
        for name, pieces in self.checkpoints[request.name, request.trial, request.step]:
            for index, piece in enumerate(pieces):
                yield study_pb2.DownloadCheckpointResponse(
                    step=request.step, file="" if index else name, data=piece
                )

    def _find(self, context, name):
        if name not in self.studies:
            fail(context, NotFound(f"there is no study {name}.", "hippo study ls"))
        return self.studies[name]

    def _submit(self, request):
        spec = StudySpec.from_json(json.loads(request.spec_json))
        assert spec.bundle in self.bundles
        earlier = self.specs.get(spec.name)
        if earlier is None:
            outcome = study_pb2.SUBMIT_OUTCOME_CREATED
        elif not (lines := differences(spec, earlier)):
            outcome = study_pb2.SUBMIT_OUTCOME_UNCHANGED
        elif extends(spec, earlier):
            outcome = study_pb2.SUBMIT_OUTCOME_EXTENDED
        else:
            raise Conflict(f"the study {spec.name} has other content.", "\n".join(lines))
        self.specs[spec.name] = spec
        self.studies[spec.name] = study_pb2.Study(
            name=spec.name,
            state=self.state_when_submitted,
            spec_json=request.spec_json,
            trial_counts={"waiting": spec.max_trials},
        )
        return study_pb2.SubmitStudyResponse(
            study=self.studies[spec.name], outcome=outcome, warnings=spec.warnings
        )

    def _set_state(self, context, request, response, state):
        study = self._find(context, request.name)

        def change():
            study.state = state
            return response(study=study)

        return self._change(context, request, change)

    def _change(self, context, request, make):
        assert request.request_id
        if request.request_id not in self.answers:
            try:
                self.answers[request.request_id] = make()
            except HippoError as error:
                fail(context, error)
            self.changes.append(request)
        if self.lose:
            self.lose -= 1
            fail(context, Unavailable("the reply is lost."))
        return self.answers[request.request_id]


class _Gate(grpc.ServerInterceptor):
    def intercept_service(self, continuation, details):
        if ("authorization", f"Bearer {TOKEN}") in details.invocation_metadata:
            return continuation(details)

        def refuse(request, context):
            fail(context, NotAllowed("the token is not known.", "Set HIPPO_TOKEN."), unauthenticated=True)

        return grpc.unary_unary_rpc_method_handler(refuse)


class Server:
    """The service on a port of its own. A context manager."""

    def __init__(self):
        self.service = StudyService()
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4), interceptors=[_Gate()])
        study_pb2_grpc.add_StudyServiceServicer_to_server(self.service, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(0).wait()
