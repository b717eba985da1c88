"""`bench evaluate` and `predict`: using what a trial has learnt."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.arguments import RESULTS, Device, DeviceName, FlipsName, Results, TrustCode
from bench.errors import BenchError, printable
from bench.exit_codes import ExitCode


def evaluate(
    trial: Annotated[
        str,
        typer.Argument(help="Id, beginning of an id, or folder; with --scores also an experiment."),
    ],
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    scores: Annotated[
        bool,
        typer.Option(
            "--scores",
            help="Record the scores of single images, where a finished trial lacks them.",
        ),
    ] = False,
    device: Device = DeviceName.AUTO,
    trust_code: TrustCode = False,
    results: Results = RESULTS,
) -> None:
    """Score a trial's best checkpoint."""
    if scores:
        _evaluate_scores(trial, device, trust_code=trust_code, results=results)
        return
    from bench.inference.evaluate import evaluate as evaluate_trial
    from bench.record.store import Store

    found = evaluate_trial(Store(results), trial, split, device, trust_code=trust_code)
    print(json.dumps(found, indent=2))


def _evaluate_scores(name: str, device: str, *, trust_code: bool, results: Path) -> None:
    from bench.inference.evaluate_scores import evaluate_scores
    from bench.record.store import Store

    failed = False
    for line, is_there in evaluate_scores(Store(results), name, device, trust_code=trust_code):
        print(printable(line), file=sys.stdout if is_there else sys.stderr, flush=True)
        failed |= not is_there
    if failed:
        raise typer.Exit(1)


def predict(
    trial: Annotated[
        str,
        typer.Argument(
            help="Id, beginning of an id, or folder; or what all folds' ids begin with."
        ),
    ],
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="Image files, or folders of them.", show_default=False),
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    out_of_fold: Annotated[
        bool,
        typer.Option(
            "--out-of-fold",
            help="Instead of images: each image of cross-validation, by the model that was not "
            "trained on it.",
        ),
    ] = False,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="Probabilities of all classes, too: .npy files, or columns."
        ),
    ] = False,
    flips: Annotated[
        FlipsName,
        typer.Option(
            "--flips", help="Take the mean over the image and its mirrors (test-time augmentation)."
        ),
    ] = FlipsName.NONE,
    device: Device = DeviceName.AUTO,
    trust_code: TrustCode = False,
    results: Results = RESULTS,
) -> None:
    """Write a trial's predictions: masks, or labels.

    Of all folds of an arm together, where the name is the beginning of their ids.
    """
    from bench.record.store import Store

    if out_of_fold == bool(images):
        raise BenchError("predict: name images, or say --out-of-fold, and not both")
    if out_of_fold and (probabilities or flips is not FlipsName.NONE):
        raise BenchError("predict: --out-of-fold takes neither --probabilities nor --flips")
    if out_of_fold:
        from bench.inference.out_of_fold import predict_out_of_fold

        predicted = predict_out_of_fold(Store(results), trial, out, device, trust_code=trust_code)
    else:
        from bench.inference.predict import predict_files

        predicted = predict_files(
            Store(results),
            trial,
            images or [],
            out,
            device,
            trust_code=trust_code,
            probabilities=probabilities,
            flips=flips.value,
        )
    for path in predicted.written:
        print(printable(path))
    if predicted.caution:
        print(f"Warning: {printable(predicted.caution)}.", file=sys.stderr)
    for line in predicted.failed:
        print(f"error: {printable(line)}", file=sys.stderr)
    if predicted.failed:
        sys.exit(ExitCode.SOME_FAILED if predicted.written else ExitCode.WRONG_REQUEST)
