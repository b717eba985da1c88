"""Columns of the tables that bench writes, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.record.columns import HISTORY, METRICS, RUNS

ABOUT_HISTORY: Mapping[str, str] = {
    "epoch": "From 1.",
    "train/loss": "What the steps minimised, a mean over the epoch.",
    METRICS: "`val/loss`, then the task's other validation metrics (`val/dice`, `val/iou`, …), then "
    "over how many images scores are means (`val/scored_images`).",
    "lr": "The learning rate at the epoch's end.",
    "epoch_seconds": "Seconds of training, the device synchronised; validation is not in it.",
    "val_seconds": "Seconds of validation.",
    "between_seconds": "Seconds since the validation of the epoch before: pictures, checkpoint. "
    "Empty in the first epoch.",
    "images_per_second": "Training images per second.",
    "peak_memory_mb": "Peak memory so far, MB (10⁶ bytes): the allocator's on CUDA, the process's "
    "resident set on a CPU.",
}
"""Columns of history.csv."""

ABOUT_RUNS: Mapping[str, str] = {
    "id": "The trial's id: its arm, its seed, and a hash of everything that can change its result.",
    "experiment": "The experiment's name.",
    "status": "[How far it has come](../troubleshooting.md#states-of-a-trial).",
    "failure": "[Why it failed](../troubleshooting.md#failures); empty unless it did.",
    "message": "What is said of the failure, or why the record is left out.",
    "health": "`healthy`, or [what was found](../troubleshooting.md#health-of-a-trained-model), "
    "separated by `;`. Empty where nothing was looked at.",
    "source": "`bench`, or where an imported history was logged.",
    "seed": "The trial's seed. Of cross-validation, `fold` follows it.",
    "<axes>": "`axis.model`, `axis.train.lr`, …: the label of the level on each axis.",
    "params": "Parameters of the model.",
    "trainable_params": "Parameters that are trained.",
    "macs": "Multiply-adds of one forward pass for one image, as fvcore counts them.",
    "epochs": "Epochs that were trained.",
    "best_epoch": "The epoch that `select` prefers; its weights are `best.pt`.",
    "<best>": "`best_val_dice`, …: each validation metric's own best over all epochs.",
    "<final>": "`final_val_dice`, …: at the last epoch.",
    "<last>": "`last10_val_dice`, …: means over the last ten epochs.",
    "<cross>": "`cross_val_dice`: the selected metric with the epoch chosen on one half of the "
    "validation images and scored on the other, both ways; free of the optimism of `best_val_…`.",
    "final_train_loss": "The training loss of the last epoch.",
    "overfit_gap": "The last epoch's validation loss minus the lowest one.",
    "epochs_to_95pct": "The first epoch whose selected metric is within a factor of 0.95 of its best.",
    "seconds_to_95pct": "Seconds of training and validation up to there.",
    "epoch_seconds": "Seconds of training per epoch: the median over all epochs but the first.",
    "train_seconds": "Seconds of training and validation of all epochs.",
    "compile_seconds": "The part of `train_seconds` that torch.compile took.",
    "peak_memory_mb": "Peak memory, MB (10⁶ bytes).",
    "memory_kind": "Where that was measured: the CUDA allocator's, or the process's resident set.",
    "<test>": "`test_loss`, `test_dice`, …: the best epoch's weights on the test split.",
    "<scored>": "`test_scored_images`, `val_scored_images`: over how many images scores are means.",
    "<baseline>": "`baseline_dice` (test), `baseline_val_dice`: what the best constant prediction "
    "scores; `constant_dice` says which it is.",
    "<closing>": "What the task finds out of the best model alone: `frechet`, `frechet_extractor`.",
    "device": "The device's name.",
    "threads": "CPU threads.",
    "precision": "`fp32`, `bf16` or `fp16`, as it was used.",
    "micro_batch": "Images that went through the model at once at most; empty where whole batches did.",
    "skipped_steps": "Steps that were skipped; empty where `train.bad_steps` allows none.",
    "channels_last": "Whether the memory format was channels-last.",
    "deterministic": "Whether only deterministic algorithms were used.",
    "data_fingerprint": "A hash of the images and targets.",
    "torch": "Version of torch.",
    "git_commit": "The commit of the working folder, where it is a git checkout.",
}
"""Columns of runs.csv."""


def history_columns() -> str:
    """Markdown: a list of the columns of history.csv."""
    return "\n".join(_columns(HISTORY, ABOUT_HISTORY))


def runs_columns() -> str:
    """Markdown: a list of the columns of runs.csv."""
    return "\n".join(_columns(RUNS, ABOUT_RUNS))


def _columns(names: Sequence[str], about: Mapping[str, str]) -> Iterator[str]:
    for name in names:
        title = {METRICS: "metrics"}.get(name, name.strip("<>"))
        shown = f"*{title}*" if name.startswith("<") else f"`{name}`"
        yield from (shown, f": {about[name]}", "")
