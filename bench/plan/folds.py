"""Cross-validation in a plan: every arm has the same folds, and nothing can name one."""

from __future__ import annotations

from collections.abc import Sequence

from bench.data.fold_settings import FoldSettings
from bench.spec.load import Spec
from bench.spec.schema import TrialSettings
from bench.spec.yaml12 import KeyPath

SETTING = "data.folds"
NO_AXIS = (
    "is no axis: every arm and seed is trained in all folds, and its figures are over all of them"
)


def names_folds(axis: str) -> bool:
    """Whether what is asked for as an axis is the fold, or a setting of the folds."""
    return axis in ("fold", "folds") or f"{axis}.".startswith(f"{SETTING}.")


def folds_of_arms(spec: Spec, arms: Sequence[TrialSettings]) -> Sequence[int | None]:
    """The folds that each seed of each arm is trained in; None where there are none.

    Raises:
        SpecError: arms have other folds than the others.
    """
    found: list[FoldSettings | None] = []
    for settings in arms:
        if settings.data.folds not in found:
            found.append(settings.data.folds)
    if len(found) > 1:
        where: KeyPath = ("data", "folds")
        raise spec.document.error(where, "must be the same in all arms: write it in all of them")
    return (None,) if found[0] is None else range(found[0].k)
