"""Live progress in a terminal: a header and at most ten trials, redrawn in place."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hippo_client.cli.picture import WORKER_STARTS_SECONDS, Picture, draw
from hippo_client.cli.tables import GAP, READABLE, fit
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.words import counts, duration, number, percent, plural
from hippo_wire.json_shapes import choice_in_words, feasibility, study_state
from hippo_wire.summaries import front_words

if TYPE_CHECKING:
    from hippo_client.watching import StudySnapshot
    from hippo_wire.v1 import study_pb2

REDRAWS_PER_SECOND = 4

# Widths of columns.
_LABEL = 6
_TRIAL, _STATE, _STEP, _METRIC = 6, 9, 7, 9

# What a study that was submitted before does.
_FOUND = {
    StudyState.RUNNING: "it goes on where it stands",
    StudyState.PAUSED: "it is paused",
    StudyState.STOPPED: "it has been stopped",
    StudyState.COMPLETED: "it has completed",
    StudyState.FAILED: "it has failed",
}

# A state is told by its word; colour only helps.
_COLOURS = {
    TrialState.RUNNING: "cyan",
    TrialState.COMPLETED: "green",
    TrialState.FAILED: "red",
    TrialState.DIVERGED: "red",
    TrialState.PAUSED: "yellow",
}


class LiveProgress:
    """Shows a study in place; implements ``hippo_client.watching.Progress``.

    Args:
        console: The terminal, on standard error: what scripts read goes to standard output.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._doing = "starting"
        self._snapshot: StudySnapshot | None = None
        self._drawn: tuple[StudySnapshot, Picture] | None = None
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=REDRAWS_PER_SECOND,
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def notice(self, message: str) -> None:
        """Before the study is known: what is being waited for. Later: a line above it."""
        with self._lock:
            known = self._snapshot is not None
            if not known:
                self._doing = message
        if known:
            self._console.print(Text(message, style="yellow"))

    def submitted(self, study: study_pb2.Study, outcome: str, warnings: Sequence[str]) -> None:
        """Tell the warnings, and that an earlier run is taken up."""
        if outcome != "created":
            self._console.print(Text(taken_up(study, outcome)))
        choice = choice_in_words(study)
        if choice:
            self._console.print(Text(choice))
        for warning in warnings:
            self._console.print(Text(f"Warning: {warning}", style="yellow"))

    def show(self, snapshot: StudySnapshot) -> None:
        """Show this at the next redraw."""
        with self._lock:
            self._snapshot = snapshot

    def _render(self) -> Screen | Text:
        # Drawing a study of thousands of trials takes a moment, so it is done per redraw, not per snapshot.
        with self._lock:
            snapshot, doing = self._snapshot, self._doing
        elapsed = time.monotonic() - self._began
        if snapshot is None:
            return Text(f"{duration(elapsed)}  {doing}", style="dim")
        if self._drawn is None or self._drawn[0] is not snapshot:
            self._drawn = (snapshot, draw(snapshot))
        return Screen(self._drawn[1], elapsed)


def taken_up(study: study_pb2.Study, outcome: str) -> str:
    """What it means that the study was there before."""
    count = sum(study.trial_counts.values())
    if outcome == "extended":
        return f"The study {study.name} is extended; it has {plural(count, 'trial')} now."
    return f"The study {study.name} was submitted before; {_FOUND[study_state(study)]}."


@dataclass(frozen=True, slots=True)
class Screen:
    """The picture for a terminal, fitted to its width."""

    picture: Picture
    elapsed_seconds: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Two columns stay free: the ^C that a terminal echoes must not wrap, or the redraw is a line off.
        narrower = options.update(max_width=max(1, options.max_width - len("^C")))
        yield from console.render(_header(self.picture, self.elapsed_seconds), narrower)
        yield from console.render(_trials(self.picture, narrower.max_width), narrower)


def _header(picture: Picture, elapsed_seconds: float) -> Table:
    left = "" if picture.seconds_left is None else f" · about {duration(picture.seconds_left)} left"
    slots = f" · {picture.slots_busy}/{plural(picture.slots_total, 'slot')} busy"
    header = Table.grid(padding=(0, 2, 0, 0))
    header.add_column(style="bold", no_wrap=True, width=_LABEL)
    header.add_column()
    header.add_row(
        "study", _line(f"{picture.name} {picture.state} · {duration(elapsed_seconds)}{left}{slots}")
    )
    if picture.reason and not (picture.needs_worker and elapsed_seconds < WORKER_STARTS_SECONDS):
        header.add_row("", Text(picture.reason, style="yellow"))
    header.add_row("trials", _line(counts(picture.trials)))
    header.add_row("best", _line(best_words(picture)))
    header.add_row("steps", _line(sharing_words(picture)))
    return header


def _line(words: str) -> Text:
    # A narrow terminal gets a second line: no state and no slot is left out.
    return Text(words)


def best_words(picture: Picture) -> str:
    """The best value, and whose it is; with several objectives how many trials are in the front."""
    if picture.best is None:
        return "-"
    words = feasibility(picture.best)
    remark = f" · {words}" if words else ""
    if picture.front is not None:
        return f"{front_words(picture.front)}{remark}"
    return (
        f"{picture.metric} {number(picture.best_value)} · "
        f"trial {picture.best.number} at step {picture.best.step}{remark}"
    )


def sharing_words(picture: Picture) -> str:
    """What was trained, and what sharing has saved so far."""
    trained, saved = f"{picture.steps_trained} trained", picture.saved_fraction
    if saved is None:
        return trained
    return f"{trained}, {picture.steps_without_sharing} without sharing · {percent(saved)} saved"


def _trials(picture: Picture, width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
    table.add_column("TRIAL", justify="right", width=_TRIAL)
    table.add_column("STATE", width=_STATE)
    table.add_column("STEP", justify="right", width=_STEP)
    table.add_column(Text(picture.metric, overflow="ellipsis", no_wrap=True), justify="right", width=_METRIC)
    widths = parameter_widths(picture, width - sum((_TRIAL, _STATE, _STEP, _METRIC)) - 4 * GAP)
    for name, each in zip(picture.parameter_names, widths, strict=False):
        table.add_column(
            Text(name, overflow="ellipsis", no_wrap=True), no_wrap=True, overflow="ellipsis", width=each
        )
    if hidden := _hidden(picture, len(widths)):
        table.add_column(Text(_more(hidden), overflow="ellipsis", no_wrap=True))
    for row in picture.rows:
        table.add_row(
            f"{'*' if row.best else ''}{row.trial}",
            Text(row.state.value, style=_COLOURS.get(row.state, "")),
            f"{row.step}/{row.max_steps}",
            number(row.value, 5),
            *(Text(parameter) for parameter in row.parameters[: len(widths)]),
        )
    if picture.rows_left_out:
        table.add_row("", Text(f"{picture.rows_left_out} more", style="dim"))
    return table


def parameter_widths(picture: Picture, room: int) -> list[int]:
    """The widths of the columns of hyper-parameters: as many as stay readable beside the word of those left out."""
    needed = [
        max(len(name), *(len(row.parameters[place]) for row in picture.rows), 0)
        for place, name in enumerate(picture.parameter_names)
    ]
    columns = [(each, min(each, READABLE)) for each in needed]
    for count in range(len(columns), -1, -1):
        hidden = _hidden(picture, count)
        left = room - (len(_more(hidden)) + GAP if hidden else 0)
        widths = fit(columns[:count], left)
        if len(widths) == count:
            return widths
    return []


def _hidden(picture: Picture, shown: int) -> int:
    """How many hyper-parameters vary beside the first ones."""
    return max(0, picture.varying_count - shown)


def _more(hidden: int) -> str:
    return f"+{hidden} more"
