"""`bench evaluate --scores`: scores by image of trials that have none, from their best weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from bench.errors import BenchError, DataError, StoreError
from bench.image_scores import SplitImages, TrialScores
from bench.inference.trained import trained_parts
from bench.metric_columns import curve_metric, on_test
from bench.plan.recorded import is_imported
from bench.plan.trial import digest
from bench.record.confirm import confirmed
from bench.record.image_scores import (
    BY_EVALUATE,
    TOLERANCE,
    mean_figures,
    read_images,
    read_scores,
    write_scores,
)
from bench.record.owners import Owner
from bench.record.store import Store, TrialFiles
from bench.states import Status, how_to_finish
from bench.train import checkpoint
from bench.train.image_scores import ScoreLog, trial_scores
from bench.train.own_size import final_scores
from bench.train.trial_parts import TrialParts


def evaluate_scores(
    store: Store, name: str, device: str, *, trust_code: bool = False
) -> Iterator[tuple[str, bool]]:
    """Write what a trial, or an experiment's finished trials, score by image, where that lacks.

    Args:
        store: where the records are.
        name: of a trial, as `Store.find` takes it, or of an experiment.
        device: what is computed on.
        trust_code: whether code of one's own that a record names is run.

    Yields:
        A line for each trial, and whether it has scores now.
    """
    if name in store.experiments():
        trials = store.trials(name)
        wanted = [t for t in trials if t.status().status is Status.DONE and _is_ours(t)]
        if not wanted:
            raise StoreError(f"{store.experiment(name)}: no finished trial of bench's own")
    else:
        wanted = [store.find(name)]
    for files in wanted:
        try:
            yield _evaluate_trial(store, files, device, trust_code=trust_code), True
        except BenchError as error:
            yield str(error), False


def _is_ours(files: TrialFiles) -> bool:
    with suppress(StoreError):
        return not is_imported(files.config())
    return True


def _evaluate_trial(store: Store, files: TrialFiles, device: str, *, trust_code: bool) -> str:
    """Under the trial's lease, which whoever runs a trial holds."""
    record = confirmed(files)
    status = record.status.status
    if status is not Status.DONE:
        raise StoreError(f"{files.folder}: is {status}, not done: {how_to_finish(status)}")
    if _has_scores(files, record.summary):
        return f"{files.id}: has its scores"
    with store.leases(files.experiment) as leases:
        lease = leases.claim(files.id)
        if isinstance(lease, Owner):
            raise StoreError(f"{files.folder}: the trial is being run by {lease}")
        try:
            parts = trained_parts(files, device, trust_code=trust_code)
            scores = _scores(parts, files, record.summary)
            _check(files, scores, record.summary)
            write_scores(files, scores, BY_EVALUATE)
        finally:
            leases.release(lease)
    counts = ", ".join(f"{len(images.names)} {name}" for name, images in scores.images.items())
    return f"{files.id}: scores of {counts} images"


def _has_scores(files: TrialFiles, summary: dict[str, Any]) -> bool:
    with suppress(StoreError):
        scores = read_scores(files, summary)
        return scores is not None and read_images(files, scores.images_hash) is not None
    return False


def _scores(parts: TrialParts, files: TrialFiles, summary: dict[str, Any]) -> TrialScores:
    fingerprint = parts.data.fingerprint
    if summary.get("data_fingerprint") not in (None, fingerprint):
        raise DataError(
            f"{files.folder}: was trained on other data than data.root holds now: its scores would "
            "be of other images; put the data back"
        )
    log = _kept_log(parts, files)
    if log.selected is None:
        log.selected = parts.score("val").images
    tested = on_test(log.metric) in summary  # a search's trials have not seen the test split
    found = trial_scores(
        log,
        {name: SplitImages(s.names, s.groups) for name, s in parts.data.splits.items()},
        final_scores(parts, "test").images if tested else None,
        selected_epoch=int(summary.get("best_epoch") or 0),
        last_epoch=int(summary.get("epochs") or 0),
    )
    if found is None:
        raise StoreError(f"{files.folder}: its task has no per-image scores")
    return found


def _kept_log(parts: TrialParts, files: TrialFiles) -> ScoreLog:
    """What `finished.pt` has of the validations; nothing where an earlier version wrote it."""
    log = ScoreLog(curve_metric(parts.trial.settings.select.metric))
    with suppress(StoreError, KeyError, TypeError, AttributeError, ValueError):
        state = checkpoint.load(files.finished)
        checkpoint.check_owner(state, files.finished, digest(parts.trial.identity))
        kept = ScoreLog(log.metric)
        kept.resume(state.get("image_scores"), 0)
        return kept
    return log


def _check(files: TrialFiles, scores: TrialScores, summary: dict[str, Any]) -> None:
    """Refuse scores that do not give the figures on record."""
    for column, value in mean_figures(scores).items():
        recorded = summary.get(column)
        if isinstance(recorded, int | float) and abs(recorded - value) > TOLERANCE[BY_EVALUATE] * (
            1 + abs(recorded)
        ):
            raise StoreError(
                f"{files.folder}: its best weights give {column} {value:.6g} now, its record "
                f"says {recorded:.6g} (another version's definition, or other data): no scores are "
                "written"
            )
