"""A recorded trial's model with its best weights, and its scores on a split."""

from __future__ import annotations

import sys
from dataclasses import replace

from bench.data.window import from_record
from bench.errors import StoreError
from bench.plan.earlier import LOST_BEST
from bench.plan.expand import load_trial, refuse_foreign_code
from bench.plan.recorded import is_imported
from bench.record.confirm import checked_config, recorded_window
from bench.record.store import TrialFiles
from bench.states import Status, how_to_finish
from bench.train.own_size import final_scores
from bench.train.trial_parts import TrialParts, build


def trained_parts(files: TrialFiles, device: str, *, trust_code: bool) -> TrialParts:
    """The trial's parts with its best weights, wherever it was trained.

    Raises:
        StoreError: there are none, or they are another trial's; or parts are code of somebody's
            own (`target:`), and it is not trusted.
    """
    if is_imported(config := checked_config(files)):
        raise StoreError(
            f"{files.folder}: was imported from {config['source']} and has a history only, no "
            "model: `bench run` a spec that trains it"
        )
    if not files.best.exists():
        status = files.status().status
        raise StoreError(
            f"{files.folder}: {LOST_BEST}"
            if status is Status.DONE
            else f"{files.folder}: has no best.pt and is {status}: {how_to_finish(status)}"
        )
    trial = load_trial(config)
    if not trust_code:
        refuse_foreign_code(str(files.folder), trial.settings)
    machine = trial.settings.machine.model_copy(update={"device": device, "placement": "auto"})
    settings = trial.settings.model_copy(update={"machine": machine})
    window = from_record(recorded_window(files))
    parts = replace(build(replace(trial, settings=settings)), window=window)
    parts.load(files.best)
    return parts


def score(files: TrialFiles, parts: TrialParts, split: str) -> dict[str, float | None]:
    """The metrics of the model as it is; says so where the data are not those of the record."""
    if files.summary().get("data_fingerprint") not in (None, parts.data.fingerprint):
        note = (
            "was trained on other data than data.root holds now, or an earlier version read them "
            "otherwise: these scores do not compare with its recorded ones"
        )
        print(f"{files.folder}: {note}", file=sys.stderr, flush=True)
    return final_scores(parts, split).metrics
