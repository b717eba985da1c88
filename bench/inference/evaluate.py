"""`bench evaluate`: the metrics of a trained model, or of all folds of an arm together."""

from __future__ import annotations

from bench.errors import BenchError
from bench.inference.ensemble import fold_members, joined_parts
from bench.inference.trained import score, trained_parts
from bench.record.store import Store


def evaluate(
    store: Store, trial: str, split: str, device: str, *, trust_code: bool = False
) -> dict[str, float | None]:
    """The metrics of the trial's best checkpoint on `train`, `val` or `test`; None: no score.

    Where `trial` begins the ids of all folds of an arm, those of the mean of their probabilities,
    on `test` alone. Parts that are code of somebody's own (`target:`) are built with `trust_code`
    only.
    """
    if split not in ("train", "val", "test"):
        raise BenchError(f"--split {split}: use train, val or test")
    files = fold_members(store, trial)
    members = [trained_parts(each, device, trust_code=trust_code) for each in files]
    parts = members[0] if len(members) == 1 else joined_parts(members, trial, split)
    if split not in parts.data.splits:
        raise BenchError(f"--split {split}: there is none with data.folds.of: all")
    return score(files[0], parts, split)
