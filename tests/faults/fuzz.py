"""Inputs that nobody would write: specs, overrides, record files, checkpoints, images.

    python -m tests.faults.fuzz --inputs 2000 [--seed 0] [--kinds specs records …]

Each input is a good one, mutated: bytes, lines, or values of its tree. Reading it must succeed or
end with an error of one line that was foreseen, within a time limit. Exits with 1 otherwise, and
says by which `--seed` and `--only` to see an input again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console

from bench.analysis.load import load
from bench.commands.inspect import status_rows, status_table
from bench.data.masks import read_mask
from bench.data.pixels import read_pixels
from bench.errors import BenchError
from bench.experiment import changed_data, renamed_trials
from bench.plan.expand import load_trial, make_plan, trial_config
from bench.plan.trial import Trial
from bench.record import mlflow_fields
from bench.record.confirm import verified_status
from bench.record.mlflow_record import Record, agrees, memory_of
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.report.page import write_report
from bench.spec import yaml12
from bench.spec.load import load_spec
from bench.states import Status
from bench.train import checkpoint
from bench.train.session import train_trial
from tests.builders.training import MemoryRecorder, Silent
from tests.faults.mutations import BOMB, TOKENS, bytes_of, deep, tree_of

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 30
REPORTS_EACH = 25
"""Every how many-th of the record files a whole report is made, which takes a second."""

SPEC = """\
experiment: made
task: segmentation
data: {name: shapes, image_size: 32, train: 4, val: 2, test: 2}
train: {epochs: 2, batch_size: 4}
model: {name: unet, width: 0.05}
grid: {train.lr: [1e-3, 1e-4]}
machine: {threads: 1, device: cpu}
hypotheses:
  - {id: rate, claim: a rate, metric: best_val_dice, a: {train.lr: 1e-3}, b: {train.lr: 1e-4},
     expect: higher}
seeds: 2
"""

Fuzz = Callable[[random.Random, Path], object]


class Hang(BaseException):
    """The time limit is over."""


class Specs:
    """Spec files, up to the plan: nothing is imported that they name."""

    def __init__(self, _folder: Path) -> None:
        paths = [*sorted((ROOT / "experiments").glob("*.yaml")),
                 ROOT / "tests/spec/malformed/good.yaml"]  # fmt: skip
        self.texts = [path.read_bytes() for path in paths]
        self.trees = [yaml12.parse(text.decode(), "x")[0] for text in self.texts]

    def __call__(self, draw: random.Random, folder: Path) -> object:
        what, path = draw.random(), folder / "spec.yaml"
        if what < 0.05:
            path.write_text(draw.choice([deep(draw), BOMB, BOMB + "experiment: x\n"]))
        elif what < 0.5:
            path.write_bytes(bytes_of(draw.choice(self.texts), draw))
        else:
            tree = tree_of(draw.choice(self.trees), draw)
            try:
                path.write_text(yaml12.dump(tree))
            except (ValueError, UnicodeError):  # what YAML cannot say at all
                path.write_bytes(b"\xff")
        return make_plan(load_spec(path))


class Overrides(Specs):
    """`key=value` on the command line."""

    def __call__(self, draw: random.Random, folder: Path) -> object:
        path, number = folder / "spec.yaml", draw.randrange(len(self.texts))
        path.write_bytes(self.texts[number])
        words, words_said = list[str](), [*TOKENS, os.fsdecode(b"\xff.png"), *LIKELY * 4]
        for _ in range(draw.randint(1, 3)):
            places = list(_paths(self.trees[number]))
            key = ".".join(map(str, draw.choice(places)))
            if draw.random() < 0.4:
                key = bytes_of(key.encode(), draw).decode(errors="replace")
            words.append(f"{key}{draw.choice(['=', '=', '=', '', '=='])}{draw.choice(words_said)}")
        return make_plan(load_spec(path, words))


def _paths(tree: Any, above: tuple[Any, ...] = ()) -> Any:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*above, key)
        if isinstance(value, dict | list):
            yield from _paths(value, (*above, key))


class Records:
    """The files of a finished experiment, as status, report, sync and the next run read them."""

    FILES = ("history.csv", "summary.json", "status.json", "config.yaml", "environment.json",
             "mlflow.json", "plan.json")  # fmt: skip

    def __init__(self, folder: Path) -> None:
        self.whole = folder / "whole"
        spec = folder / "spec.yaml"
        spec.write_text(SPEC)
        self.plan = make_plan(load_spec(spec))
        store = Store(self.whole)
        store.write_plan("made", self.plan.record())
        for trial in self.plan.trials:
            files = store.trial("made", trial.id)
            files.write_config(trial_config(trial))
            with redirect_stdout(io.StringIO()):
                train_trial(trial, self.recorder(self.whole, trial), Silent())
            files.mlflow_path.write_text('{"run_id": "a", "epochs_logged": 2, "finished": true}')
        self.fingerprint = files.summary()["data_fingerprint"]
        self.count = 0

    def recorder(self, root: Path, trial: Trial) -> TrialRecorder:
        """A trial's."""
        files = Store(root).trial("made", trial.id)
        select, metrics = self.plan.select.metric, self.plan.metrics
        return TrialRecorder(files, select, metrics, keep_last=True)

    def __call__(self, draw: random.Random, folder: Path) -> object:
        self.count += 1
        root = folder / "results"
        shutil.copytree(self.whole, root, ignore=shutil.ignore_patterns("*.pt"))
        for _ in range(draw.choice([1, 1, 2])):
            name = draw.choice(self.FILES)
            trial = draw.choice(self.plan.trials).id
            self._spoil(root / "made" / ("" if name == "plan.json" else trial) / name, draw)
        store, found = Store(root), []
        for read in (self._status, self._report, self._sync, self._run):
            try:
                read(store, folder)
            except BenchError as error:
                found.append(one_line(error))
        return found

    def _spoil(self, path: Path, draw: random.Random) -> None:
        text = path.read_bytes()
        if draw.random() < 0.1:
            others = [p for p in path.parent.rglob("*") if p.is_file()]
            path.write_bytes(draw.choice(others).read_bytes())
        elif path.suffix == ".json" and draw.random() < 0.6:
            try:
                path.write_text(json.dumps(tree_of(json.loads(text), draw)))
            except ValueError:  # it was spoilt before
                path.write_bytes(b"")
        elif path.suffix == ".yaml" and draw.random() < 0.5:
            try:
                path.write_text(yaml12.dump(tree_of(yaml12.parse(text.decode(), "x")[0], draw)))
            except (BenchError, ValueError):
                path.write_bytes(b"")
        else:
            path.write_bytes(bytes_of(text, draw))

    def _status(self, store: Store, _: Path) -> None:
        for name in store.experiments():
            rows = status_rows(store, name)
            json.dumps(rows)
            Console(file=io.StringIO(), width=200).print(status_table(rows))

    def _report(self, store: Store, folder: Path) -> None:
        load(store, "made")
        if self.count % REPORTS_EACH == 0:
            write_report(store, ["made"], folder / "reports")

    def _sync(self, store: Store, _: Path) -> None:
        problems = []
        for files in store.trials("made"):
            try:
                record = Record.read(files)
            except BenchError as error:
                problems.append(one_line(error))
                continue
            agrees({1: 0.5, 2: 0.5}, record)
            memory_of(files)
            mlflow_fields.params(record.config)
            mlflow_fields.trial_tags(record.config, record.status)
            mlflow_fields.summary_metrics(record.summary)
            mlflow_fields.summary_tags(record.summary)
            start = mlflow_fields.milliseconds(record.status.started) or 0
            mlflow_fields.milliseconds(record.status.updated)
            mlflow_fields.epoch_times(record.history, start)
            for row in record.history:
                mlflow_fields.epoch_metrics(row)

    def _run(self, store: Store, _: Path) -> None:
        standings = {
            t.id: verified_status(store.trial("made", t.id)).status for t in self.plan.trials
        }
        done = {trial for trial, status in standings.items() if status is Status.DONE}
        changed_data.moved_trials(self.plan, done, store)
        changed_data.refuse_changed_data(
            self.plan, dict.fromkeys(standings, self.fingerprint), store
        )
        renamed_trials.adopt(self.plan, store, [])
        for files in store.trials("made"):
            load_trial(files.config())


class Checkpoints:
    """States and weights: bytes, as they are read; and whole states of other content, gone on with.

    What is wrong with a state may be found late, in torch: in a worker that is a failed trial's
    message.
    """

    def __init__(self, folder: Path) -> None:
        made = Records(folder)
        self.trial = made.plan.trials[0]
        self.recorder = made.recorder(made.whole, self.trial)
        self.files = [path.read_bytes() for path in sorted(made.whole.rglob("*.pt"))]
        self.state = checkpoint.load(self.recorder.last)

    def __call__(self, draw: random.Random, folder: Path) -> object:
        if draw.random() < 0.7:
            path = folder / "last.pt"
            path.write_bytes(bytes_of(draw.choice(self.files), draw))
            return checkpoint.load(path)
        recorder = MemoryRecorder(folder)
        checkpoint.save(recorder.last, {"a": 1} | tree_of(self.state, draw))
        with redirect_stdout(io.StringIO()):
            train_trial(self.trial, recorder, Silent())
        return recorder.facts


class Images:
    """Image files of all kinds, as images and as masks."""

    def __init__(self, _folder: Path) -> None:
        draw = np.random.default_rng(0)
        colours = Image.fromarray(draw.integers(0, 256, (40, 50, 3), dtype=np.uint8))
        grey = Image.fromarray(draw.integers(0, 4, (40, 50), dtype=np.uint8))
        wide = Image.fromarray(draw.integers(0, 2**16, (40, 50), dtype=np.uint16))
        made = [(colours, form) for form in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM")]
        made += [(grey, form) for form in ("JPEG", "PNG", "TIFF")] + [(wide, "PNG")]
        made += [(colours.convert("P"), "PNG"), (colours.convert("RGBA"), "PNG")]
        self.files = []
        for image, form in made:
            content = io.BytesIO()
            image.save(content, form)
            self.files.append(content.getvalue())

    def __call__(self, draw: random.Random, folder: Path) -> object:
        path = folder / "image.jpg"
        path.write_bytes(bytes_of(draw.choice(self.files), draw))
        found = []
        for read in (read_pixels, read_mask):
            try:
                found.append(read(path))
            except BenchError as error:
                found.append(one_line(error))
        return found


LIKELY = ["1", "2", "3", "0.5", "0.1", "unet", "none", "dice", "adam", "cpu"]
"""What an override may well say."""
KINDS: dict[str, tuple[type[Any], float]] = {
    "specs": (Specs, 0.3),
    "overrides": (Overrides, 0.2),
    "records": (Records, 0.25),
    "checkpoints": (Checkpoints, 0.1),
    "images": (Images, 0.15),
}
"""What is fuzzed, and its share of the inputs."""


def one_line(error: BenchError) -> str:
    """What a user would see."""
    text = str(error)
    if "\n" in text or not text.strip():
        raise AssertionError(f"not one line: {text!r}")
    if len(text) > 12_000:  # a key or value that is that long itself may be shown
        raise AssertionError(f"{len(text)} characters: {text[:200]}")
    return text


def outcome(fuzz: Fuzz, draw: random.Random, limit: float) -> str:
    """`read`, `refused`, or what went wrong."""

    def over(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, over)
    with tempfile.TemporaryDirectory() as folder:
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            fuzz(draw, Path(folder))
        except BenchError as error:
            try:
                one_line(error)
            except AssertionError as wrong:
                return str(wrong)
            return "refused"
        except Hang:
            return f"hang: more than {limit} s"
        except Exception:
            return traceback.format_exc()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    return "read"


def play(
    kind: str, inputs: int, seed: int = 0, only: int | None = None, limit: float = LIMIT_SECONDS
) -> tuple[Counter[str], dict[int, str]]:
    """How often inputs of a kind were read and refused, and what else happened, by number."""
    counts: Counter[str] = Counter()
    wrong: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fuzz = KINDS[kind][0](Path(folder))
        for number in range(inputs) if only is None else [only]:
            found = outcome(fuzz, random.Random(f"{seed} {kind} {number}"), limit)
            if found in ("read", "refused"):
                counts[found] += 1
            else:
                wrong[number] = found
    return counts, wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """The long form; 1 where anything was neither read nor refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--only", type=int, help="the number of one input")
    options = parser.parse_args(arguments)
    share = sum(KINDS[kind][1] for kind in options.kinds)
    bad = 0
    for kind in options.kinds:
        begun = time.monotonic()
        inputs = round(options.inputs * KINDS[kind][1] / share)
        counts, wrong = play(kind, inputs, options.seed, options.only)
        for number, what in wrong.items():
            print(f"--kinds {kind} --seed {options.seed} --only {number}:\n{what}", flush=True)
        bad += len(wrong)
        print(
            f"{kind:12} {inputs:6} inputs: {counts['read']} read, {counts['refused']} refused, "
            f"{len(wrong)} wrong, {time.monotonic() - begun:.0f} s",
            flush=True,
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
