"""What the analysis of many trials with scores of single images costs: seconds of CPU, and memory.

`PYTHONPATH=. python tests/benchmarks/analysis.py`: 1,000 trials (5 models × 4 augmentations × 50
seeds) of 100 epochs, scored on 3,669 test and 368 validation images, and 36 hypotheses. Reading
records, analysing them (verdicts and all explored contrasts) and the whole report are measured in
processes of their own, on one core. `--make results` only writes the study; `--results results`
measures one that was written.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.image_scores import ImageScores, SelectedAndLast, SplitImages, TrialScores
from bench.plan.expand import make_plan, trial_config
from bench.plan.trial import Trial
from bench.record.recorder import TrialRecorder
from bench.record.store import Store
from bench.spec.load import load_spec
from tests.benchmarks.timing import Line, table
from tests.builders.records import curves, environment, facts

MODELS, AUGMENTS = 5, ("none", "flip", "elastic", "crop")
METRICS = ("loss", "dice", "iou")
NAME = "many_images"
CHILD = """
import json, sys, time
from pathlib import Path
from bench.analysis.explored import explore
from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.record.store import Store
def peak():  # of this program: ru_maxrss would have that of the process that started it
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1e3
store, name, out = Store(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
found = {}
if out:
    from bench.report.page import write_report
    start = time.process_time()
    page = write_report(store, [name], Path(out))
    found["report"] = time.process_time() - start
    found["page"] = page.stat().st_size / 1e6
else:
    start = time.process_time()
    records = load(store, name)
    found["load"] = time.process_time() - start
    found["peak of load"] = peak()
    start = time.process_time()
    tested = outcomes(records)
    found["hypotheses"] = time.process_time() - start
    explored = explore(records, tested)
    found["analysis"] = time.process_time() - start
    found["family"] = len(tested)
found["peak"] = peak()
print(json.dumps(found))
"""


def spec_text(seeds: int, epochs: int) -> str:
    """The spec of the study, with its 36 hypotheses."""
    models = {f"unet_{i}": {"name": "unet", "width": (i + 1) / 64} for i in range(MODELS)}
    augments: dict[str, Any] = {
        "none": [], "flip": ["hflip"], "elastic": [{"elastic": {"p": 0.2}}],
        "crop": [{"crop": {"p": 0.2}}],
    }  # fmt: skip
    pairs = [({"model": a}, {"model": b}) for a, b in itertools.combinations(models, 2)]
    pairs += [({"augment": a}, {"augment": b}) for a, b in itertools.combinations(AUGMENTS, 2)]
    pairs += [
        ({"model": a, "augment": x}, {"model": b, "augment": x})
        for x in AUGMENTS[:2]
        for a, b in itertools.combinations(models, 2)
    ]
    claims = [
        {"id": f"h{i}", "claim": f"claim {i}", "a": a, "b": b, "expect": "higher"}
        for i, (a, b) in enumerate(pairs)
    ]
    spec = {
        "experiment": NAME, "task": "segmentation",
        "data": {"name": "shapes", "train": 8, "val": 4, "test": 4, "image_size": 32},
        "train": {"epochs": epochs, "batch_size": 4},
        "grid": {"model": models, "augment": augments}, "seeds": seeds, "hypotheses": claims,
    }  # fmt: skip
    return json.dumps(spec)


def write_study(results: Path, seeds: int, epochs: int, test: int, val: int) -> int:
    """Write the study as `bench run` does; returns its trials."""
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{NAME}.yaml"
    path.write_text(spec_text(seeds, epochs))
    plan, store = make_plan(load_spec(path)), Store(results)
    store.write_plan(NAME, plan.record())
    images = {
        "val": SplitImages(tuple(f"val_{i:04}.png" for i in range(val))),
        "test": SplitImages(tuple(f"test_{i:04}.png" for i in range(test))),
    }
    hard = np.random.default_rng(0).normal(0, 0.1, val + test)
    for trial in plan.trials:
        files = store.trial(NAME, trial.id)
        files.write_config(trial_config(trial))
        _record(trial, TrialRecorder(files, "val/dice", plan.metrics), images, hard)
    return len(plan.trials)


def _record(
    trial: Trial, recorder: TrialRecorder, images: dict[str, SplitImages], hard: np.ndarray
) -> None:
    """A finished trial whose figures are the means of its images' scores."""
    rng = np.random.default_rng([trial.seed, *map(ord, trial.arm)])
    epochs, n_val = trial.settings.train.epochs, len(images["val"].names)
    history = curves("unet", trial.axes["augment"], epochs, rng)
    level = 0.002 * int(trial.axes["model"].removeprefix("unet_"))
    rise = np.array([row["val/dice"] for row in history], dtype=float)[:, None] + level
    by_epoch = (rise + hard[:n_val] + rng.normal(0, 0.08, (epochs, n_val))).astype(np.float16)
    for row, value in zip(history, by_epoch.mean(axis=1, dtype=np.float64), strict=True):
        row["val/dice"] = float(value)
    best = int(np.argmax(by_epoch.mean(axis=1, dtype=np.float64)))
    final = {f"val/{metric}": float(history[-1][f"val/{metric}"] or 0) for metric in METRICS}
    val = [_scores(by_epoch[at].astype(float), final) for at in (best, -1)]
    dice = float(rise.max()) + hard[n_val:] + rng.normal(0, 0.1, len(hard) - n_val)
    both = _scores(dice, {})
    told = facts("unet", history, rng)
    follows = {"epochs", "best_epoch", "final_train_loss", "overfit_gap", "epochs_to_95pct"}
    known = {k: v for k, v in told.items() if k not in follows and k[:5] not in _FOLLOWING}
    means = {f"test_{metric}": float(both.column(metric).mean(dtype=float)) for metric in METRICS}  # type: ignore[union-attr]
    splits = {"val": SelectedAndLast(val[0], val[1]), "test": SelectedAndLast(both, both)}
    recorder.begin(environment())
    recorder.resume(history)
    recorder.finish(known | means, TrialScores("dice", best + 1, epochs, splits, images, by_epoch))


_FOLLOWING = ("best_", "final", "epoch", "secon", "train", "test_")


def _scores(dice: np.ndarray, final: dict[str, float]) -> ImageScores:
    """Of Dice; other metrics are moved to the figures that the history has of them."""
    iou, loss = dice / 2, 1 - dice
    iou += final.get("val/iou", iou.mean()) - iou.mean()
    loss += final.get("val/loss", loss.mean()) - loss.mean()
    return ImageScores.of({"loss": loss, "dice": dice, "iou": iou}, METRICS)


def measured(results: Path, out: str) -> dict[str, Any]:
    """Figures of a process of its own."""
    command = [sys.executable, "-c", CHILD, str(results), NAME, out]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=one_thread, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Write, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="twenty trials each")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--test", type=int, default=3669, help="images")
    parser.add_argument("--val", type=int, default=368, help="images")
    parser.add_argument("--make", type=Path, metavar="RESULTS", help="write it, and no more")
    parser.add_argument("--results", type=Path, metavar="RESULTS", help="measure what is written")
    parser.add_argument("--report", action="store_true", help="the whole report, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        results = options.results or options.make or Path(scratch, "results")
        if options.results is None:
            write_study(results, options.seeds, options.epochs, options.test, options.val)
        if options.make:
            return
        found = measured(results, "")
        lines = [
            Line("CPU of reading the records", f"{found['load']:.1f} s"),
            Line("CPU of the analysis", f"{found['analysis']:.1f} s"),
            Line(f"… of which {found['family']} hypotheses", f"{found['hypotheses']:.1f} s"),
            Line("peak of memory, read", f"{found['peak of load']:.0f} MB"),
            Line("peak of memory, analysed", f"{found['peak']:.0f} MB"),
        ]
        if options.report:
            whole = measured(results, str(Path(scratch, "reports")))
            lines += [
                Line("CPU of the whole report", f"{whole['report']:.1f} s"),
                Line("its peak of memory", f"{whole['peak']:.0f} MB"),
                Line("report.html", f"{whole['page']:.2f} MB"),
            ]
        table(lines)


if __name__ == "__main__":
    main()
