"""Records of searches as `bench search` writes them, of few points whose answers are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.report.search.search_record import SearchRecord, read_search_record

SPACE: dict[str, Any] = {
    "train.lr": {"float": [1e-4, 1e-2], "log": True},
    "train.batch_size": {"int": [4, 20], "step": 4},
    "train.optimizer": {"choice": {"adam": "adam", "sgd": "sgd"}},
    "train.momentum": {"float": [0.5, 0.9], "when": {"train.optimizer": ["sgd"]}},
}
ADAM = {"train.lr": 1e-3, "train.batch_size": 12, "train.optimizer": "adam"}
SGD = {"train.lr": 1e-2, "train.batch_size": 4, "train.optimizer": "sgd", "train.momentum": 0.9}


def point(number: int, state: str = "complete", value: float | None = None, **more: Any) -> Any:
    """One point with Adam; complete ones have `value` as their Dice."""
    values = None if value is None else {"best_val_dice": value}
    return {
        "number": number,
        "state": state,
        "params": dict(ADAM),
        "values": values,
        "intermediate": {},
        "ids": [f"p{number}-s0"],
        "figures": [],
        "facts": [],
        "constraints": {},
        "message": None,
        "reused": None,
        "train_seconds": None,
        "seconds": 2.0,
    } | more


POINTS = [
    point(0, value=0.6),
    point(1, value=0.5, params=dict(SGD)),
    point(2, value=0.8, params=ADAM | {"train.lr": 1e-4}),
    point(3, "pruned", intermediate={"1": 0.1, "2": 0.4}, message="pruned after epoch 2"),
    point(4, "infeasible", constraints={"macs < 5e9": 1e9}, message="macs is 6e+09, but …"),
    point(5, "failed", message="diverged: in epoch 2", params=dict(SGD)),
    point(6, value=0.8, params=ADAM | {"train.lr": 1e-4}, reused=2),
]
CONFIRMED = {
    "number": 2,
    "ids": ["p2-s1", "p2-s2", "p2-s3"],
    "seeds": [1, 2, 3],
    "searched": {"best_val_dice": 0.8},
    "confirmed": {
        str(seed): {"best_val_dice": dice, "test_dice": dice - 0.1}
        for seed, dice in zip((1, 2, 3), (0.68, 0.70, 0.72), strict=True)
    },
}


def record(**changes: Any) -> dict[str, Any]:
    """search.json of one objective: point 2 chosen, its fresh seeds at 0.70 ± 0.02."""
    share = {"mean": 0.6, "low": 0.4, "high": 0.7}
    return {
        "study": "exp",
        "storage": "sqlite:///results/optuna.db",
        "over": True,
        "objectives": [{"metric": "best_val_dice", "direction": "max"}],
        "sampler": {"name": "tpe", "startup_trials": 10, "seed": 0},
        "pruner": {"name": "median", "startup_trials": 5, "warmup_epochs": 1, "metric": None},
        "trials_wanted": 7,
        "constraints": ["macs < 5e9"],
        "seeds": [0],
        "confirm_seeds": [1, 2, 3],
        "space": SPACE,
        "trials": POINTS,
        "front": [2],
        "chosen": [2],
        "confirmations": [CONFIRMED],
        "importances": {
            "best_val_dice": {
                "train.lr": share,
                "train.batch_size": share | {"mean": 0.3},
                "train.optimizer": share | {"mean": 0.1},
            }
        },
    } | changes


def two_objectives(**changes: Any) -> dict[str, Any]:
    """Dice against MACs: (0.6, 1e9), (0.5, 2e9), (0.8, 4e9), of which the first and the last are
    the front; an infeasible one of 6e9 and a pruned one of 3e9."""
    costs = {0: 1e9, 1: 2e9, 2: 4e9}
    points = [p | {"values": p["values"] | {"macs": costs[p["number"]]}} for p in POINTS[:3]] + [
        POINTS[4],
        POINTS[3] | {"constraints": {"macs < 5e9": -2e9}},
    ]
    found = {
        "number": 0,
        "ids": [],
        "seeds": [1, 2],
        "searched": {"best_val_dice": 0.6, "macs": 1e9},
        "confirmed": {"1": {"best_val_dice": 0.5, "macs": 1e9, "test_dice": 0.4}},
    }
    return (
        record(
            objectives=[
                {"metric": "best_val_dice", "direction": "max"},
                {"metric": "macs", "direction": "min"},
            ],
            pruner={"name": "median", "startup_trials": 5, "metric": "val/dice"},
            trials=points,
            front=[2, 0],
            chosen=[2, 0],
            confirmations=[found],
            importances={},
        )
        | changes
    )


def write(folder: Path, content: dict[str, Any]) -> Path:
    """Write search.json into an experiment's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "search.json").write_text(json.dumps(content))
    return folder


def read(folder: Path, content: dict[str, Any] | None = None) -> SearchRecord:
    """A search as it is read back."""
    found = read_search_record(write(folder, record() if content is None else content))
    assert found is not None
    return found
