"""What clients ask about studies and trials."""

from __future__ import annotations

from hippo_server.driver import Driver
from hippo_server.rpc.bundle_calls import BundleCalls
from hippo_server.rpc.bundles import Bundles
from hippo_server.rpc.study_changes import StudyChanges
from hippo_server.rpc.study_reading import StudyReading
from hippo_server.rpc.trial_changes import TrialChanges
from hippo_server.rpc.trial_reading import TrialReading
from hippo_server.user_logs import UserLogs
from hippo_wire.v1 import study_pb2_grpc


class StudyService(
    StudyChanges,
    StudyReading,
    TrialChanges,
    TrialReading,
    BundleCalls,
    study_pb2_grpc.StudyServiceServicer,
):
    """Studies, trials, results, bundles and checkpoints, within the caller's project."""

    def __init__(self, driver: Driver, bundles: Bundles, logs: UserLogs) -> None:
        StudyChanges.__init__(self, driver, bundles)
        StudyReading.__init__(self, driver)
        TrialChanges.__init__(self, driver)
        TrialReading.__init__(self, driver, logs)
        BundleCalls.__init__(self, driver, bundles)
