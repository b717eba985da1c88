"""What can go wrong: each finding, warning and state in the words that reports use."""

from __future__ import annotations

from collections.abc import Iterator

from bench.data.survey_kinds import ADVICE as DATA_ADVICE
from bench.exit_codes import ExitCode
from bench.health import ADVICE as HEALTH_ADVICE
from bench.states import Failure, Status

STATES = {
    Status.PLANNED: "The trial has not started. `bench run SPEC` trains it.",
    Status.RUNNING: "A worker is training it now. Where that worker died, the next `run` takes the "
    "trial over: at once on the same machine, after 60 s on another one.",
    Status.DONE: "It trained to its last epoch, or to where early stopping ended it, and was scored "
    "on the test split. It is never trained again.",
    Status.FAILED: "It ended with one of the failures below and counts as a result. "
    "`bench run SPEC --retry-failed` tries again.",
    Status.INTERRUPTED: "It was stopped between two epochs (Ctrl-C, a signal, a full disk). The same "
    "command goes on from the last epoch.",
    Status.PRUNED: "A search ended it early because other points did better. That is no failure, and "
    "it is never resumed.",
}
"""A status, what it means and what to do."""

FAILURES = {
    Failure.OUT_OF_MEMORY: (
        "The device or the machine had too little memory",
        "`bench plan SPEC --memory` says beforehand what each trial needs. Set "
        "`train.micro_batch: auto`, or lower `train.batch_size` or `data.image_size` for all arms; "
        "with several trials per GPU, lower `-j`",
    ),
    Failure.DIVERGED: (
        "The loss or a gradient became NaN or infinite; the message names the epoch",
        "Lower `train.lr`, set `train.clip_grad_norm`, add `train.warmup_epochs`, or allow some "
        "skipped steps with `train.bad_steps`. It counts against the arm: a verdict in its favour is "
        "withheld",
    ),
    Failure.DATA: (
        "A file could not be read, or the data are not what the spec says; the message names the file",
        "Mend or remove the file. `data.on_error: skip` leaves unreadable images out and lists them "
        "in the report (more than 5% are an error all the same)",
    ),
    Failure.CRASH: (
        "An exception in the trial's own process; `log.txt` in the trial's folder has the traceback",
        "Mend what it names, mostly code of your own; then `bench run SPEC --retry-failed`",
    ),
    Failure.KILLED: (
        "The worker was killed from outside more often than `--retries` allows",
        "Look at the machine's log (the kernel's out-of-memory killer, a job's time limit), then "
        "`--retry-failed`; it goes on from the last epoch",
    ),
    Failure.TIMEOUT: (
        "It took longer than `--timeout`, or made no progress for `--hung-after`; the message says which",
        "Raise the limit, or train less; `--retry-failed` goes on from the last epoch. Where a worker "
        "hung, look at `log.txt` and at code of your own that waits for something",
    ),
}
"""A failure, what it means and what to do."""


def states() -> str:
    """Markdown: a list of every status."""
    return "\n".join(_list({str(status): text for status, text in STATES.items()}))


def failures() -> str:
    """Markdown: a part for each failure."""
    return "\n".join(
        _list({str(kind): f"{mean}. *What to do:* {do}." for kind, (mean, do) in FAILURES.items()})
    )


def health() -> str:
    """Markdown: a part for each kind of finding."""
    return "\n".join(
        _list(
            {
                str(kind): f"{_sentence(advice.title)} {_sentence(advice.meaning)} "
                f"*What to do:* {advice.remedy}."
                for kind, advice in HEALTH_ADVICE.items()
            }
        )
    )


def data_warnings() -> str:
    """Markdown: a part for each kind of warning on data, the serious ones first."""
    kinds = sorted(DATA_ADVICE.items(), key=lambda entry: not entry[1].serious)
    return "\n".join(
        _list(
            {
                str(kind): f"{'' if advice.serious else '(a remark) '}{_sentence(advice.meaning)} "
                f"*What to do:* {advice.remedy}."
                for kind, advice in kinds
            }
        )
    )


def exit_codes() -> str:
    """Markdown: a list of every exit code."""
    meanings = {
        ExitCode.OK: "All is well. Of a search also where points diverged or ran out of memory, "
        "since that is what a search finds out.",
        ExitCode.SOME_FAILED: "Some trials failed, or something that was asked for is incomplete; "
        "the rest was done.",
        ExitCode.WRONG_REQUEST: "The request was wrong, and nothing ran.",
        ExitCode.INTERRUPTED: "Interrupted: Ctrl-C, SIGTERM, SIGHUP, SIGQUIT, or a disk or folder "
        "that takes nothing more. The same command goes on.",
    }
    told = {str(int(code)): meanings[code] for code in ExitCode}
    told["141"] = "Nobody reads standard output any more (`bench … | head`)."
    return "\n".join(_list(told))


def _list(entries: dict[str, str]) -> Iterator[str]:
    for name, text in entries.items():
        yield from (f"`{name}`", f": {text}", "")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
