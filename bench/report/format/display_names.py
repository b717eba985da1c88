"""What each task's results are called in a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.metric_columns import MetricKind


@dataclass(frozen=True)
class TaskWords:
    """A task's own words.

    Attributes:
        trivial: the prediction behind the baseline, as a sentence's subject.
        pictures: heading of the pictures.
        hint: how to read them.
    """

    trivial: str
    pictures: str
    hint: str


_OTHER = TaskWords("The baseline", "Pictures", "")
_WORDS = {
    "segmentation": TaskWords(
        "Predicting all foreground",
        "Predictions",
        "Left to right: image, truth, prediction, errors (missed foreground orange, extra "
        "foreground blue).",
    ),
    "classification": TaskWords(
        "Always predicting the most frequent class",
        "Predictions",
        "Confusion matrix of the test split, each row a true class, shaded by its share; below it "
        "validation images with the predicted class and its probability (right blue, wrong "
        "orange).",
    ),
    "multi_label": TaskWords(
        "Always predicting the most frequent labels",
        "Predictions",
        "Validation images, each with its labels and the predicted ones (all right blue, else "
        "orange).",
    ),
    "diffusion": TaskWords(
        "Predicting zero noise",
        "Generated images",
        "From the same noise in every arm and epoch: the more epochs, the less noise should be "
        "left.",
    ),
}
_NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "hd95": "HD95",
    "nsd": "NSD",
    "cldice": "clDice",
    "miou": "mIoU",
    "auroc": "AUROC",
    "f1": "F1",
    "map": "mAP",
    "ap": "AP",
    "lr": "learning rate",
    "macs": "MACs",
    "top1": "top-1 accuracy",
    "top5": "top-5 accuracy",
    "frechet": "Fréchet distance",
    "frechet_extractor": "features of the Fréchet distance",
    "ddpm": "DDPM",
    "ddim": "DDIM",
}
_PREFIXES = {
    MetricKind.CROSS_FITTED: "cross-fitted val",
    MetricKind.LAST_TEN: "last-10 val",
}
_QUARTERS = {
    f"loss_t{number}": f"loss ({which} quarter of steps)"
    for number, which in enumerate(("least noisy", "second", "third", "noisiest"), start=1)
}


def task_words(task: str) -> TaskWords:
    """The words of a task; of one that is not known, words that are never wrong."""
    return _WORDS.get(task, _OTHER)


def display_name(name: str) -> str:
    """A metric's or column's name for people: `best_val_dice` → `best val Dice`."""
    for quarter, text in _QUARTERS.items():
        if name == quarter or name.endswith((f"_{quarter}", f"/{quarter}")):
            return f"{display_name(name.removesuffix(quarter))} {text}".strip()
    for prefix, text in _PREFIXES.items():
        if name.startswith(prefix):
            return f"{text} {display_name(name.removeprefix(prefix))}"
    if name in _NAMES:
        return _NAMES[name]
    words = name.replace("/", " ").replace("_", " ").split()
    return " ".join(_NAMES.get(word, word) for word in words)


def title(name: str) -> str:
    """`display_name` with a capital first letter."""
    text = display_name(name)
    if text[1:2].isupper():  # mAP, mIoU
        return text
    return text[:1].upper() + text[1:]


def incomparable_note(incomparable: Mapping[str, Sequence[str]], metrics: Iterable[str]) -> str:
    """A caption's remark on metrics (`loss`) that some axes change the meaning of, or nothing."""
    axes = dict.fromkeys(axis for name in metrics for axis in incomparable.get(name, ()))
    return f" Losses on different levels of {', '.join(axes)} cannot be compared." if axes else ""
