"""The benchmarks' frame: runs are kept and read, shown, drawn and compared. No time is measured here."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import compare, moment, plots, table
from benchmarks.figures import Curve, Drawing, Figure
from benchmarks.moment import Moment
from benchmarks.results import Measured, Results, read
from benchmarks.subjects import SUBJECTS

MACHINE = {"processor": "one", "cores": 2, "fsync_8k_ms": 1.0, "loop_ms": 10.0}
CURVE = Curve(
    "growth", "trials", "ms", {"ask": ((0, 1.0), (1000, 2.0))}, logarithmic=True, note="on a warm server"
)

DRAWING = Drawing("R1, 8 slots", "<svg><title>R1</title></svg>\n", "<idle> never")


def cost(*values: float, name: str = "a step", unit: str = "us") -> Figure:
    return Figure(name, values, unit, aim=10.0)


def rate(*values: float) -> Figure:
    return Figure("reports", values, "reports/s", aim=1000.0, more_is_better=True)


def results(
    *figures: Figure,
    curves: tuple[Curve, ...] = (),
    drawings: tuple[Drawing, ...] = (),
    before: Moment = Moment(0.1, 2.0, 50.0, 10.0, 8.0),  # noqa: B008 - it cannot be changed
    **machine: object,
) -> Results:
    after = Moment(1.0)
    given = [*figures], [*curves], [*drawings]
    subject = Measured("about it", "2026-01-01T00:00:00Z", "abc", before, after, 3.0, *given)
    return Results({**MACHINE, **machine}, {"subject": subject})


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = results(cost(1.0, 2.5), rate(7.0), curves=(CURVE,), drawings=(DRAWING,))
    written.subjects["other"] = Measured(failed="it broke")
    written.write(tmp_path / "run.json")
    assert read(tmp_path / "run.json") == written


def test_a_figure_is_its_median_and_judged_by_it() -> None:
    assert cost(30.0, 9.0, 8.0).reached is True
    assert cost(30.0, 11.0, 8.0).reached is False
    assert rate(900.0, 1100.0, 1200.0).reached is True
    assert Figure("a", (1.0,), "s").reached is None
    with pytest.raises(ValueError, match="'a' has no values"):
        Figure("a", (), "s")


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_keeps_within_the_terminal(width: int) -> None:
    long = Figure(
        "durable reports, batched by ten, with 100,000 trials in the study, the server's processor time",
        (1_234_567.8, 123_456.7, 9_876_543.2),
        "microseconds of one core a report",
        aim=100_000.0,
        note="a sentence that goes on and on, " * 5,
    )
    lines = [table.heading(width), *table.row(long, width), *table.curve(CURVE, width)]
    assert max(map(len, lines)) <= width
    shown = lines[1].split()
    assert shown[-7:] == ["1,234,568", "123,457", "–", "9,876,543", "≤", "100,000", "missed"]
    assert "    ask   0: 1, 1,000: 2" in lines


def verdict(old: Figure, new: Figure) -> str:
    (change,) = compare.compare(results(old), results(new)).changes
    return change.verdict(0.05)


def test_worse_is_apart_and_beyond_the_threshold() -> None:
    assert verdict(cost(1.0, 1.1), cost(1.3, 1.4)) == "worse"
    assert verdict(cost(1.3, 1.4), cost(1.0, 1.1)) == "better"
    assert verdict(rate(100.0, 110.0), rate(80.0, 90.0)) == "worse"
    assert verdict(rate(80.0, 90.0), rate(100.0, 110.0)) == "better"
    assert verdict(cost(1.0, 1.35), cost(1.3, 1.4)) == "", "rounds that overlap say nothing"
    assert verdict(cost(1.0, 1.001), cost(1.002, 1.003)) == "", "apart, and within the threshold"
    assert verdict(cost(0.0, 0.0), cost(0.0, 0.0)) == ""
    assert verdict(cost(0.0, 0.0), cost(1.0, 1.0)) == "worse"
    assert verdict(cost(1.0, 1.0), cost(0.0, 0.0)) == "better"


def test_values_below_nought_are_compared_by_their_difference() -> None:
    early, late = (
        Figure("start-up", values, "s beyond a bare loop", 1.5)
        for values in ((-0.1, -0.2, -0.15), (1.1, 1.25, 1.3))
    )
    assert verdict(early, late) == "worse"
    assert verdict(late, early) == "better"
    assert verdict(cost(-1.0, -1.1), cost(0.0, 0.1)) == "worse"
    assert verdict(cost(-1.0, -1.01), cost(-1.1, -1.2)) == "", "less than a twentieth of the aim"
    found = compare.compare(results(early), results(late))
    said = "\n".join(compare.lines(found, 0.05, 80))
    assert "-0.15      1.25     +1.4 worse" in said
    assert "+ and -: a difference and no ratio" in said


def test_what_was_measured_once_is_told_and_not_judged() -> None:
    assert verdict(cost(1.0), cost(1.3, 1.4)) == "worse, once"
    assert verdict(cost(1.3, 1.4), cost(1.0)) == "better, once"
    assert verdict(cost(0.0), cost(3.0)) == "worse, once"
    assert verdict(cost(1.0), cost(1.01)) == ""
    found = compare.compare(results(cost(1.0)), results(cost(1.4)))
    assert found.worse(0.05) == []
    said = "\n".join(compare.lines(found, 0.05, 80))
    assert "1.400 worse, once" in said
    assert "1 figures: 0 worse, 0 better, by more than 5% and all rounds; of what was" in said


def test_what_cannot_be_compared_is_told() -> None:
    old = results(cost(1.0), cost(1.0, name="gone"), cost(1.0, name="changed"), curves=(CURVE,))
    new = results(
        cost(1.0), cost(1.0, name="came"), cost(1.0, name="changed", unit="ms"), curves=(CURVE,),
        processor="another", fsync_8k_ms=1.2, loop_ms=13.0, before=Moment(1.9, 1.2, 80.0, 5.0, 4.0),
    )  # fmt: skip
    new.subjects["more"] = Measured(failed="it broke")
    found = compare.compare(old, new)
    assert [each.new.name for each in found.changes] == ["a step"]
    assert found.came == ("more (all of it)", "subject: came")
    assert found.went == ("subject: gone",)
    assert found.curves == ("subject: growth, ask: x 1.00 to 1.00 over 2 points (ms)",)
    told = "\n".join(found.warnings)
    assert all(
        each in told
        for each in (
            "processor was one",
            "loop_ms was 10",
            "before it the load was 0.1",
            "changed was in us",
            "before it all cores did the work of 2, and of 1.2",
            "a wake-up took 50 us, and 80",
            "a core copied 10 GB/s, and 5",
            "a core counted 8 M/s, and 4",
        )
    )
    assert "fsync" not in told


def test_the_exit_code_tells_of_what_became_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(tmp_path / name) for name in ("old.json", "new.json")]
    results(cost(1.0, 1.1)).write(Path(files[0]))
    results(cost(1.3, 1.4)).write(Path(files[1]))
    assert compare.main(files) == 1
    assert "1 figures: 1 worse, 0 better" in capsys.readouterr().out
    assert compare.main([*files, "--threshold", "0.5"]) == 0
    assert compare.main(files[::-1]) == 0
    assert compare.main(files[:1]) == 2


def test_the_comparison_keeps_within_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    folder = tmp_path / "a-folder-whose-name-is-not-short" / "and-another-one-in-it"
    files = [folder / name for name in ("old.json", "new.json")]
    long = "durable reports, batched by ten, with 100,000 trials in the study"
    for file, values, values_of_long in zip(
        files, ((1.0, 1.1), (1.3, 1.4)), ((-1.5e-16,), (2e6,)), strict=True
    ):
        run = results(cost(*values), cost(*values_of_long, name=long), cost(1e-9 / values[0], name="few"))
        run.subjects |= {str(each): Measured(commit="0123456789+") for each in range(8)}
        for place, each in enumerate(run.subjects.values()):
            each.commit = f"{place}123456789+"
        run.write(file)
    assert compare.main([str(file) for file in files]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert [line for line in shown if len(line) > 80 and "/" not in line] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "cannot be read: No such file or directory"), ("{", "holds no run"), ("{}", "holds no run")],
)
def test_what_is_no_run_is_told_with_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    file = tmp_path / "other.json"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    assert compare.main([str(file), str(file)]) == 2
    assert f"{file} {said}" in capsys.readouterr().err


def test_each_curve_and_the_aims_are_drawn(tmp_path: Path) -> None:
    run = results(cost(1.0, 2.0), rate(5.0), curves=(CURVE,))
    drawn = plots.draw(run, tmp_path)
    assert [each.name for each in drawn] == ["subject-growth.svg", "aims.svg"]
    assert all(plots.pictures(run)[each.name] in each.read_text() for each in drawn)
    text = drawn[0].read_text()
    assert all(f">{each}<" in text for each in ("growth", "trials", "ms", "0", "1,000"))
    assert "subject: reports" in drawn[1].read_text()


def test_what_a_subject_drew_is_kept_with_its_digest(tmp_path: Path) -> None:
    run = results(drawings=(DRAWING,))
    [drawn] = plots.draw(run, tmp_path)
    assert drawn.name == "subject-r1-8-slots.svg"
    digest = plots.pictures(run)[drawn.name]
    assert drawn.read_text() == f"<svg><title>R1</title><desc>{digest}</desc></svg>\n"
    assert [*table.drawing(DRAWING, 80)] == ["  R1, 8 slots: drawn", "    <idle> never"]


def test_a_cost_below_nought_is_shown_at_the_edge(tmp_path: Path) -> None:
    faster = Figure("start-up", (-0.25, -0.3, 0.1), "s beyond the bare loop", 1.5)
    plots.draw(results(faster, cost(5.0)), tmp_path)
    text = (tmp_path / "aims.svg").read_text()
    assert "subject: start-up" in text
    assert ">−0.25<" in text or ">-0.25<" in text


def test_an_aim_of_nought_is_shown_at_an_edge_by_whether_it_is_reached(tmp_path: Path) -> None:
    equal, other = (
        Figure(name, (value,), "tensors of other bits", 0.0) for name, value in (("warm", 0.0), ("new", 3.0))
    )
    run = results(equal, other)
    assert [plots.times_better(each) for _, each in plots.with_aims(run)] == [
        plots.MOST_TIMES,
        1 / plots.MOST_TIMES,
    ]
    plots.draw(run, tmp_path)
    text = (tmp_path / "aims.svg").read_text()
    assert "subject: warm" in text
    assert "subject: new" in text


def test_subjects_have_names_of_their_own() -> None:
    names = [each.name for each in SUBJECTS]
    assert len({*names}) == len(names)


def test_what_was_not_measured_of_a_machine_is_not_compared() -> None:
    found = compare.compare(results(cost(1.0)), results(cost(1.0), before=Moment(0.1)))
    assert found.warnings == ()
    assert str(Moment(0.1)) == "load 0.1"


def test_what_a_machine_gives_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moment, "COUNT", moment.COUNT.replace(str(moment.SECONDS), "0.01"))
    found = moment.now()
    assert found.at_once is not None
    assert found.at_once > 0.0
    assert found.wake_us is None or found.wake_us > 0.0
    assert found.copy_gb_s is not None
    assert found.copy_gb_s > 0.0
    assert found.counts_m_s is not None
    assert found.counts_m_s > 0.0
