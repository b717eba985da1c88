"""The one list of columns and states: what is recorded, in which unit, in which order."""

from __future__ import annotations

from bench.states import Failure, Status

__all__ = [
    "ENVIRONMENT_DIGEST",
    "HISTORY",
    "HISTORY_DIGEST",
    "IMAGES_HASH",
    "METRICS",
    "RUNS",
    "SCORES_DIGEST",
    "SUMMARY_DIGEST",
    "UNLISTED",
    "Failure",
    "Status",
]

# history.csv: one row per epoch; the task's validation metrics stand where `METRICS` is.
METRICS = "<metrics>"
HISTORY: tuple[str, ...] = (
    "epoch",
    "train/loss",
    METRICS,  # val/loss first, then the task's others; last, how much scores are means of
    "lr",
    "epoch_seconds",  # training only, device synchronised
    "val_seconds",
    "between_seconds",  # after the last validation: pictures, checkpoint; empty in the first
    "images_per_second",  # training images
    "peak_memory_mb",  # so far, MB = 10^6 bytes: the allocator's on CUDA, resident set on a CPU
)

# runs.csv: one row per trial, of cross-validation with `fold` behind `seed`. <axes> expands to
# axis.<name>; <best>, <final>, <last> and <test> to a column per metric of the task
# (best_val_dice, final_val_dice, last10_val_dice, test_dice); <cross> to the cross-fitted figure
# of the selected metric (cross_val_dice) where images have scores by epoch; <scored> to how much
# the scores are means of (test_scored_images; val_scored_images in the best epoch); <baseline> to
# the best constant prediction's figures (baseline_dice on the test split, baseline_val_dice on
# validation) and what it predicts (constant_dice: a class); <closing> to what the task finds out
# of the best model alone (frechet, frechet_extractor). `compile_seconds` is the part of
# `train_seconds` that torch.compile took, empty where nothing was compiled.
# `micro_batch` is how many images went through the model at once at most, empty where whole batches
# did; `skipped_steps` how many steps were passed over, empty where `train.bad_steps` allows none.
# `health` is `healthy` or the kinds of what was found wrong (bench.health), empty where nothing was
# looked at; summary.json tells more of each in `health_<kind>`.
RUNS: tuple[str, ...] = (
    "id", "experiment", "status", "failure", "message", "health", "source", "seed",
    "<axes>", "params", "trainable_params", "macs", "epochs", "best_epoch", "<best>", "<final>",
    "<last>", "<cross>",
    "final_train_loss", "overfit_gap", "epochs_to_95pct", "seconds_to_95pct", "epoch_seconds",
    "train_seconds", "compile_seconds", "peak_memory_mb", "memory_kind", "<test>", "<scored>",
    "<baseline>", "<closing>", "device", "threads", "precision", "micro_batch", "skipped_steps",
    "channels_last", "deterministic", "data_fingerprint", "torch", "git_commit",
)  # fmt: skip

HISTORY_DIGEST, SUMMARY_DIGEST = "history_digest", "summary_digest"
IMAGES_HASH, SCORES_DIGEST = "images_hash", "scores_digest"
ENVIRONMENT_DIGEST = "environment_digest"
UNLISTED: tuple[str, ...] = (
    "images_per_second",
    "batchnorm_images",
    HISTORY_DIGEST,
    SUMMARY_DIGEST,
    IMAGES_HASH,
    SCORES_DIGEST,
    ENVIRONMENT_DIGEST,
)
"""What summary.json has and runs.csv has not.

`batchnorm_images`: how many images BatchNorm took its statistics from in training, where those are
fewer than a batch. `history_digest`: of the history.csv that the summary was made of.
`summary_digest`: of everything else in summary.json. `environment_digest`: of environment.json.
`images_hash`: which images the scores of single images are of; trials of different ones make no
pairs by image. `scores_digest`: of these scores.
"""
