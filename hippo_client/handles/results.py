"""What came of a study, as tables and documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hippo_client.handles.seen import SeenStudy

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from hippo_client.result_tables import Style
    from hippo_client.stage_tree import StageTree
    from hippo_core.simulation import Recording
    from hippo_wire.v1 import study_pb2


class StudyResults(SeenStudy):
    """A study's results for other programs: tables, documents, Optuna's studies, what is kept."""

    def dataframe(self, style: Style = "optuna") -> pd.DataFrame:
        """The trials as a pandas table, a row each, by number; columns are typed, also where there is no trial.

        Args:
            style: ``"optuna"``: the columns of ``optuna.Study.trials_dataframe()`` (``params_*`` is what was drawn,
                ``user_attrs_*`` are the metrics beside the objectives), then ``hippo_*``, of which
                ``hippo_gpu_seconds`` is for how long slots trained the trial's steps, and
                ``hippo_shared_gpu_seconds`` the part of it that other trials of the study have in common with it.
                ``"plain"``: state, step, metrics and hyper-parameters by their names, schedules as in a study file.
                ``"mlflow"``: the columns of ``mlflow.search_runs()``.

                Of repeats metrics are means; spreads (standard deviations) have columns of their own. Where the study
                has constraints, so has what they are violated by.

        Raises:
            InvalidStudy: There is no such style.
            HippoError: pandas is not installed.
        """
        from hippo_client.exporting.frame import frame
        from hippo_client.result_tables import trials_table

        return frame(trials_table(self.export(), style), "dataframe()")

    def history(self) -> pd.DataFrame:
        """The evaluations of all trials as a pandas table: ``trial, step, metric, value, time``, a row each metric.

        Time is when the state was there, in UTC, also where another trial trained it. Of repeats values are means.

        Raises:
            HippoError: pandas is not installed.
        """
        from hippo_client.exporting.frame import frame
        from hippo_client.result_tables import history_table

        return frame(history_table(self.export()), "history()")

    def stage_tree(self) -> StageTree:
        """The study's part of the search plan: what is trained once for which trials."""
        from hippo_client.stage_tree import StageTree, tree_node
        from hippo_wire.v1 import study_pb2

        response: study_pb2.GetStageTreeResponse = self._studies.GetStageTree(
            study_pb2.GetStageTreeRequest(name=self.name)
        )
        return StageTree(tree_node(node) for node in response.nodes)

    def export(self, file: str | Path | None = None) -> Recording:
        """All that is known of it, as a document of its own: what was searched, what came of it, when and at what cost.

        ``hippo simulate --recorded FILE`` and :mod:`hippo_client.simulation` try out on it what another policy, or
        other slots, would have come to. Of a study that runs, each trial is as it was when it was read.

        Args:
            file: Where to write the document, as JSON.
        """
        from hippo_client.recordings import parse, read_export

        document = read_export(self._client.connection, self.name)
        if file is not None:
            Path(file).write_bytes(document)
        return parse(document, self.name)

    def to_optuna(self, storage: Any = None, name: str | None = None) -> optuna.Study:
        """It as an ``optuna.Study``, for Optuna's plots and importances.

        ``pip install 'hippo-hpo[plots]'`` brings what these need; :mod:`hippo_client.plots` draws them for a study.

        Parameters are what was drawn, by the names of the domains; an option of a choice that is a schedule or a
        sub-space has its text for a value. Trials that completed are COMPLETE, stopped ones PRUNED, failed and diverged
        ones FAIL, those of which nothing is trained WAITING, all others RUNNING. Evaluations are intermediate values,
        where there is one objective. A trial began when its first step was trained, or, where another one had trained
        it, when it was made. Trials that users forked are left out: nothing was drawn for them; those that a policy
        forked have what was drawn last. User attributes tell the rest: ``hippo_trial`` (its number here),
        ``hippo_state``, ``hippo_reason``, ``hippo_steps``, ``hippo_stage_path`` (node, start, stop),
        ``hippo_gpu_seconds``, ``hippo_shared_gpu_seconds``, ``hippo_checkpoint`` (the last step that one is kept of),
        ``hippo_fork``, ``hippo_metrics``, ``hippo_hyperparameters``. What constraints come to is where Optuna's
        samplers, plots and ``best_trial`` look for it.

        Args:
            storage: Where Optuna is to keep it, e.g. ``"sqlite:///studies.db"``; by default in memory.
            name: What it is called there; by default as here.

        Raises:
            HippoError: Optuna is not installed.
            Conflict: The storage has a study of that name.
        """
        from hippo_client.optuna_study import convert

        return convert(self.export(), storage, name)

    def checkpoints(self) -> list[dict[str, Any]]:
        """The checkpoints on the paths of its trials, as ``hippo checkpoint ls --json`` lists them.

        ``need`` and ``reason`` say why each is kept; ``steps`` and ``seconds`` are what training it again would take.
        """
        from hippo_client.checkpoint import checkpoint_json, kept_checkpoints

        return [checkpoint_json(each) for each in kept_checkpoints(self._client.connection, self.name)[0]]
