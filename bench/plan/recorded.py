"""Who a recorded trial is: its identity, computed again from what its config.yaml says.

A trial's id ends in a hash of its settings and seed, so settings, labels and seed that were edited,
or a folder that was copied under another name, no longer fit each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from bench.errors import UnconfirmedError
from bench.plan.trial import (
    Trial,
    digest,
    drop_path,
    fixed_settings_of,
    hash_common,
    make_id,
    repeat_name,
)
from bench.spec.schema import TrialSettings
from bench.states import BENCH_SOURCE

_LOCAL: tuple[tuple[str, ...], ...] = (
    *(
        ("machine", key)
        for key in ("device", "threads", "placement", "memory_share", "loader_threads")
    ),
    ("data", "root"),
    ("data", "download"),
    *(("task", key) for key in ("ddpm_steps", "samples", "show_every")),
    *(("model", "weights", key) for key in ("file", "trained_as")),
    *(
        ("task", "frechet", part, key)
        for part in ("extractor", "classifier")
        for key in ("name", "file")
    ),
)
"""Settings of version 0.1 that no trial's identity has; see `bench.settings.machine_local`."""


@dataclass(frozen=True)
class Identity:
    """What a trial's settings, seed and labels make it.

    Attributes:
        id: its name; without the labels it is `<kind>-<hash>`.
        arm: hash of the settings without the seed.
        common: hash of the settings that no axis touches.
    """

    id: str
    arm: str | None
    common: str | None


def check_identity(config: Mapping[str, Any], trial: str, experiment: str) -> None:
    """Refuse a config.yaml that is not that of `trial` of `experiment`, as its folder is called.

    Raises:
        UnconfirmedError: the reason; it does not name the trial.
    """
    if config.get("id") != trial:
        raise UnconfirmedError(f"its config.yaml is that of {quote_value(config.get('id'))}")
    if config.get("experiment") != experiment:
        raise UnconfirmedError(
            f"its config.yaml is of the experiment {quote_value(config.get('experiment'))}"
        )
    found = None
    for identify in _IMPORTED_SCHEMES if is_imported(config) else _OWN_SCHEMES:
        try:
            found = identify(config)
        except (ValidationError, KeyError, TypeError, ValueError, AttributeError):
            continue
        if found.id == trial:
            break
    if found is None:
        raise UnconfirmedError("its config.yaml describes no trial")
    if found.id != trial:
        raise UnconfirmedError(f"its config.yaml was changed: what it says makes {found.id}")
    for key in ("arm", "common"):
        if config.get(key) != getattr(found, key):
            raise UnconfirmedError(f"its config.yaml was changed: its {key} is not of its settings")


def is_imported(config: Mapping[str, Any]) -> bool:
    """Whether a config.yaml is that of a trial that was logged elsewhere."""
    return (config.get("source") or BENCH_SOURCE) != BENCH_SOURCE


def imported_identity(source: str, axes: Mapping[str, str], seed: int | None) -> Identity:
    """Of a trial that was logged elsewhere, which is known by its source, labels and seed."""
    arm = {"imported": source, "axes": dict(axes)}
    kind = "imported" if seed is None else f"imported_s{seed}"
    name = make_id(axes, kind, arm | {"seed": seed})
    return Identity(name, digest(arm), f"imported-{digest(source)}")


def identity_hash(trial: str) -> str:
    """The hash at the end of a trial's id, which stays when its labels are renamed."""
    return trial.rpartition("-")[2]


def fits_name(
    trial: str, axes: Mapping[str, str], seed: int | None, fold: int | None = None
) -> bool:
    """Whether an id begins with these labels, this seed and this fold."""
    kinds = ["imported"] if seed is None else [repeat_name(seed, fold), f"imported_s{seed}"]
    beginning = trial.rpartition("-")[0]
    return any(make_id(axes, kind, None).rpartition("-")[0] == beginning for kind in kinds)


def quote_value(value: object) -> str:
    """A value of a record in an error: short, on one line."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return repr(text if len(text) <= 80 else f"{text[:79]}…")


def _as_recorded(config: Mapping[str, Any]) -> Identity:
    """By the settings as they stand in the file: a version with other defaults gives the same."""
    settings = dict(config["settings"])
    for path in _LOCAL:
        settings = drop_path(settings, path)
    axes = config["axes"]
    repeat = {key: config[key] for key in ("seed", "fold") if config.get(key) is not None}
    name = make_id(axes, repeat_name(**repeat), settings | repeat)
    fixed_settings = fixed_settings_of(settings, (*axes, *config.get("varied", ())))
    return Identity(name, digest(settings), hash_common(fixed_settings, axes))


def _as_settings(config: Mapping[str, Any]) -> Identity:
    """By the settings as this version reads them."""
    settings = TrialSettings.model_validate(config["settings"])
    trial = Trial(
        config["experiment"],
        config["seed"],
        config["axes"],
        settings,
        fold=config.get("fold"),
        varied=tuple(config.get("varied", ())),
    )
    if trial.id != config["id"] and (earlier := replace(trial, revised=False)).id == config["id"]:
        trial = earlier
    return Identity(trial.id, trial.arm, trial.common)


def _as_imported(config: Mapping[str, Any]) -> Identity:
    return imported_identity(config["source"], config["axes"], config["seed"])


_Identify = Callable[[Mapping[str, Any]], Identity]
_OWN_SCHEMES: tuple[_Identify, ...] = (_as_settings, _as_recorded)
_IMPORTED_SCHEMES: tuple[_Identify, ...] = (_as_imported,)
