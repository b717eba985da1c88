"""What a person sees."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bench.run.event_text import describe_epoch
from bench.run.events import Decided, Ended, EpochDone, Lost, Retried, Started, Ticked, Waiting
from bench.run.live_display import LiveDisplay
from bench.run.progress import PlainDisplay, display
from bench.states import Failure, Status

ROW = {
    "epoch": 2,
    "train/loss": 0.25,
    "val/loss": 0.5,
    "val/dice": 0.75,
    "epoch_seconds": 1.5,
    "peak_memory_mb": None,
}


def show(terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=160)
    with display(console, {"unet-s0": 2, "unet-s1": 2}, "val/dice") as shown:
        shown.preparing("data shapes", 3, 10)
        shown.observe(Started("unet-s0"))
        shown.observe(Retried("unet-s0", "[bold] ended by SIGKILL", 1, 2))
        shown.observe(Started("unet-s0"))
        shown.observe(Ticked("unet-s0", 1, 5, 10))
        shown.observe(EpochDone("unet-s0", ROW))
        shown.observe(Ended("unet-s0", Status.DONE))
        shown.observe(Started("unet-s1"))
        shown.observe(Lost("unet-s1"))
        shown.observe(Waiting("1 trial of process 7 on x"))
        shown.observe(Ended("unet-s1", Status.FAILED, Failure.CRASH, "[bold] boom", elsewhere=True))
    return text.getvalue()


def test_plain_lines_tell_everything() -> None:
    lines = show(terminal=False).splitlines()
    assert lines == [
        "Starting: loading the libraries, then the data.",
        "preparing data shapes",
        "unet-s0: started",
        "unet-s0: [bold] ended by SIGKILL; goes on from its last epoch, retry 1 of 2",
        "unet-s0: started",
        "unet-s0: epoch 2/2  loss 0.2500  dice 0.7500  val loss 0.5000  s/epoch 1.50",
        "[1/2] unet-s0: done  loss 0.2500  dice 0.7500  val loss 0.5000  s/epoch 1.50",
        "unet-s1: started",
        "unet-s1: taken over by another run, which had not heard of this one for too long",
        "waiting for 1 trial of process 7 on x",
        "[2/2] unet-s1: failed by another run (crash): [bold] boom",
    ]


def test_a_terminal_gets_bars() -> None:
    text = show(terminal=True)
    assert "all epochs" in text
    assert "2/2 trials ended" in text
    assert "[bold] boom" in text
    assert "retry 1 of 2" in text


@pytest.mark.parametrize(("terminal", "kind"), [(True, LiveDisplay), (False, PlainDisplay)])
def test_display_fits_the_console(terminal: bool, kind: type) -> None:
    console = Console(file=io.StringIO(), force_terminal=terminal)
    assert isinstance(display(console, {}, "val/dice"), kind)


def test_selecting_the_loss_does_not_show_it_twice() -> None:
    assert describe_epoch({"val/loss": 0.5, "train/loss": 1.0}, "val/loss") == (
        "loss 1.0000  val loss 0.5000"
    )


def test_an_interrupted_trial_has_not_ended() -> None:
    text = io.StringIO()
    with display(Console(file=text, width=160), {"a": 4, "b": 4}, "val/dice") as shown:
        shown.observe(EpochDone("a", ROW))
        shown.observe(Ended("a", Status.INTERRUPTED))
        shown.observe(Ended("b", Status.DONE))
    assert text.getvalue().splitlines()[-2:] == ["a: interrupted after epoch 2/4", "[1/2] b: done"]


def test_plain_lines_say_what_a_round_decided() -> None:
    text = io.StringIO()
    shown = PlainDisplay(Console(file=text, width=40), {"a": 2}, "val/dice")
    shown.observe(Decided(("Look 1 of 9 (3 seeds): 1 settled.", "[b] stops."), "look 1"))
    assert text.getvalue() == "Look 1 of 9 (3 seeds): 1 settled.\n[b] stops.\n"
