"""The display in a terminal, drawn at several widths with a clock that is set by hand."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import pytest
from rich.console import Console

from bench.run.events import Decided, Ended, EpochDone, Started, Ticked, Waiting, Working
from bench.run.live_display import LiveDisplay, clock_time, elide_middle, fitted
from bench.states import Failure, Status

LONG = "resnet34_unet-elastic_strong-lr0.0003-s12-1a2b3c4d"
METRIC = "val/dice"


def row(epoch: int) -> dict[str, float | int | None]:
    return {
        "epoch": epoch,
        "train/loss": 0.123456,
        "val/loss": 12.5,
        "val/dice": 0.875,
        "epoch_seconds": 60.0,
        "val_seconds": 5.0,
        "peak_memory_mb": 12345.0,
    }


class Shown:
    """A display of two trials of 100 epochs at a time, and its clock."""

    def __init__(self, width: int, epochs: dict[str, int], height: int = 24) -> None:
        self.now = 0.0
        self.width, self.height = width, height
        self.text = io.StringIO()
        console = Console(
            file=self.text, force_terminal=True, width=width, height=height, color_system=None
        )
        self.display = LiveDisplay(console, epochs, METRIC, clock=lambda: self.now)

    def lines(self) -> list[str]:
        return [line.plain for line in self.display.drawn(self.width, self.height)]

    def see(self, *events: object) -> None:
        for event in events:
            self.display._take(event)  # type: ignore[arg-type]


def at_work(width: int, height: int = 24) -> Shown:
    """An hour after the start, the second epoch of a minute nearly done."""
    shown = Shown(width, {LONG: 1000, "unet-s0-1a2b3c4d": 1000, "third": 1000}, height)
    shown.see(Started(LONG), Started("unet-s0-1a2b3c4d"))
    for epoch in (1, 2):
        shown.now += 1.0
        shown.see(Ticked(LONG, epoch, 1, 60))
        shown.now += 64.0
        shown.see(EpochDone(LONG, row(epoch)))
    shown.now += 30
    shown.see(Ticked(LONG, 3, 30, 60))
    return shown


@pytest.mark.parametrize("width", [60, 80, 100, 129, 130, 120, 200])
def test_all_is_there_and_no_line_is_too_long(width: int) -> None:
    lines = at_work(width).lines()
    assert all(len(line) <= width for line in lines), lines
    own = next(line for line in lines if "…" in line or LONG in line)
    for line in (lines[0], own):
        assert "━━━━" in line
        assert re.search(r" 2/[13]000 ", line), line
        assert re.search(r" 0:02:40 left +(\d+d )?\d+:\d\d:\d\d", line), line
    everything = "\n".join(lines)
    assert "0/3 trials ended" in everything
    assert "step 30/60  loss 0.1235" in everything


@pytest.mark.parametrize(("width", "own_line"), [(80, True), (129, True), (130, False)])
def test_below_130_columns_figures_have_a_line_of_their_own(width: int, own_line: bool) -> None:
    lines = at_work(width).lines()
    assert len(lines) == (6 if own_line else 3)
    (figures,) = (line for line in lines if "loss 0.1235" in line)
    assert figures.startswith("    ") == own_line


def test_figures_are_left_out_whole() -> None:
    note = at_work(60).lines()[3].strip().split("  ")
    assert note == ["step 30/60", "loss 0.1235", "dice 0.8750", "val loss 12.5000"]
    assert fitted(["loss 0.12", "MB 1234"], 16) == "loss 0.12"
    assert fitted(["loss 0.12", "MB 1234"], 18) == "loss 0.12  MB 1234"


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert elide_middle(LONG, 20) == "resnet34_u…-1a2b3c4d"
    assert len(elide_middle(LONG, 20)) == 20
    assert elide_middle("unet", 20) == "unet"


def test_the_time_left_is_known_in_the_first_epoch() -> None:
    """An epoch of a minute; ticks each half second. Rich's own estimate was empty."""
    shown = Shown(80, {"a": 10})
    shown.see(Started("a"))
    assert "left -:--:--" in shown.lines()[0]
    shown.now = 36.0  # starting
    shown.see(Ticked("a", 1, 1, 120))
    shown.now = 51.5  # 31 steps in 15.5 s
    shown.see(Ticked("a", 1, 32, 120))
    assert re.search(r"left 0:09:44", shown.lines()[0])  # (1200 - 32) half seconds


def test_the_time_left_goes_down_by_the_clock_and_not_in_jumps() -> None:
    shown = Shown(80, {"a": 10})
    shown.see(Started("a"))
    lefts = []
    for epoch in range(1, 10):
        for half in range(1, 121):
            shown.now += 0.5
            if half <= 100:  # the last 10 s are validation
                shown.see(Ticked("a", epoch, half, 100))
            if epoch > 1:
                lefts.append(_left(shown.lines()[0]))
        shown.see(EpochDone("a", row(epoch)))
    assert abs(lefts[0] - 9 * 60) <= 15
    assert lefts[-1] == pytest.approx(60, abs=3)
    jumps = [abs(b - a) for a, b in pairwise(lefts)]
    assert max(jumps) <= 4


def _left(line: str) -> int:
    found = re.search(r"left (\d+):(\d\d):(\d\d)", line)
    assert found, line
    hours, minutes, seconds = map(int, found.groups())
    return 3600 * hours + 60 * minutes + seconds


def test_pending_trials_count_and_workers_share_them() -> None:
    shown = Shown(80, dict.fromkeys("abcd", 10))
    shown.see(Started("a"), Started("b"))
    for trial in "ab":
        shown.see(Ticked(trial, 1, 0, 60))
    shown.now = 60.0
    for trial in "ab":
        shown.see(EpochDone(trial, row(1)))
    assert _left(shown.lines()[0]) == (9 + 10) * 60


def test_a_last_trial_runs_alone() -> None:
    shown = Shown(80, dict.fromkeys("abc", 10))
    shown.see(Started("a"), Started("b"))
    for trial in "ab":
        shown.see(Ticked(trial, 1, 0, 60))
    shown.now = 60.0
    for trial in "ab":
        shown.see(EpochDone(trial, row(1)))
    assert _left(shown.lines()[0]) == (9 + 10) * 60


def test_bars_move_within_an_epoch() -> None:
    shown = Shown(200, {"a": 2})
    shown.see(Started("a"), Ticked("a", 1, 0, 100))
    before = shown.display._all().part
    shown.see(Ticked("a", 1, 50, 100))
    assert (before, shown.display._all().part) == (0.0, 0.25)


def test_interrupted_trials_do_not_count_as_complete() -> None:
    shown = Shown(80, {"a": 10, "b": 10})
    shown.see(Started("a"), Started("b"), Ticked("a", 4, 0, 10))
    shown.see(Ended("a", Status.INTERRUPTED), Ended("b", Status.DONE))
    first, note = shown.lines()
    assert " 13/20 " in first
    assert note.strip() == "1/2 trials ended  1 interrupted"


def test_a_failed_trial_is_not_waited_for() -> None:
    shown = Shown(80, {"a": 10, "b": 10})
    shown.see(Started("a"), Ended("a", Status.FAILED, Failure.CRASH, "boom"))
    assert " 10/20 " in shown.lines()[0]
    assert "a: failed (crash): boom" in shown.text.getvalue()


def test_what_is_done_after_the_steps_is_said() -> None:
    shown = Shown(80, {"a": 1})
    shown.see(Started("a"), EpochDone("a", row(1)), Working("a", "test split", 3, 9))
    assert "test split 3/9" in shown.lines()[3]
    shown.see(Working("a", "final evaluation, forward pass", 120, 0))
    assert "final evaluation, forward pass 120" in shown.lines()[3]
    shown.see(Ended("a", Status.DONE), Waiting("1 trial of process 7"))
    assert "waiting for 1 trial of process 7" in shown.lines()[1]


def test_what_a_round_decided_is_said_and_stays_in_short() -> None:
    shown = Shown(150, {"a": 10, "b": 10})
    shown.see(Decided((), "first of 9 looks at 3 seeds"), Started("a"))
    assert "first of 9 looks at 3 seeds" in shown.lines()[0]
    lines = ("Look 1 of 9 (3 seeds): 1 settled, 1 open.", "On to 4 seeds with [a], for h.")
    shown.see(Ended("a", Status.DONE), Decided(lines, "look 1 of 9: 1 open"), Started("b"))
    assert all(line in shown.text.getvalue() for line in lines)
    assert "look 1 of 9: 1 open" in shown.lines()[0]
    assert "first of 9" not in shown.lines()[0]


def test_events_of_a_trial_that_is_not_ours_any_more_are_passed_over() -> None:
    shown = Shown(80, {"a": 1})
    shown.see(Ticked("a", 1, 1, 2), EpochDone("a", row(1)), Working("a", "test split", 1, 2))
    assert shown.lines() == []


@pytest.mark.parametrize(("height", "expected"), [(24, 24), (16, 13), (8, 7)])
def test_more_trials_than_lines(height: int, expected: int) -> None:
    """First the figures give way, then trials."""
    names = [f"trial{i}" for i in range(12)]
    shown = Shown(80, dict.fromkeys(names, 10), height)
    shown.see(*map(Started, names))
    lines = shown.lines()
    assert len(lines) <= height - 1
    if height == 16:
        assert len(lines) == 13
    if height == 8:
        assert lines[-1].strip() == "and 7 more trials"
    assert "all epochs" in lines[0]


def test_preparing_has_a_bar_and_fits() -> None:
    shown = Shown(80, {"a": 1})
    shown.display._preparing = ("data " + "x" * 100, 1500, 3000)
    (line,) = shown.lines()
    assert len(line) <= 80
    assert " 1500/3000 left " in line
    assert "━" in line


def test_starting_is_said_at_once() -> None:
    shown = Shown(80, {"a": 1})
    with shown.display:
        assert shown.text.getvalue().startswith("Starting: ")


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_console_gets_what_is_drawn(width: int) -> None:
    shown = at_work(width)
    with shown.display:
        shown.display.observe(Waiting("nobody"))
    last = shown.text.getvalue()
    assert "0:02:40 left" in last
    assert all(len(line) <= width for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", last)
               .replace("\r", "\n").split("\n"))  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(None, "-:--:--"), (-5.0, "0:00:00"), (59.9, "0:00:59"), (3725, "1:02:05"),
     (200_000, "2d 7:33:20")],
)  # fmt: skip
def test_clock_time(seconds: float | None, expected: str) -> None:
    assert clock_time(seconds) == expected


def test_what_is_prepared_has_the_time_left() -> None:
    shown = Shown(80, {"unet-s0-1a2b3c4d": 10})
    shown.display.preparing("data pets", 0, 400)
    assert "left -:--:--" in shown.lines()[0]
    shown.now += 10.0
    shown.display.preparing("data pets", 100, 400)  # 10 a second: 30 s for the other 300
    assert "100/400 left 0:00:30" in shown.lines()[0]
    shown.display.preparing("survey of data pets", 0, 0)
    assert "left" not in shown.lines()[0]
    shown.display._live.stop()
