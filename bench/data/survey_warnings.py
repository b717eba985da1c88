"""What in a data set is suspicious: the rules, over what was counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.data.survey import Crossing, MaskSurvey, SplitSurvey, Survey
from bench.data.survey_files import FilesSurvey
from bench.data.survey_kinds import ADVICE, Kind
from bench.data.survey_words import listed, percent

Target = Literal["mask", "label", "none"]
"""What of the samples is learnt; of the rest nothing is suspicious."""

FEW_IMAGES = 20
MOSTLY = 0.5
"""Of the masks that are empty, or of the pixels that are ignored."""
INVERTED_SHARE = 0.9
RARE_SHARE = 0.001
IMBALANCE = 10
NARROW = 0.25
"""Of the values that a pixel of its depth could have."""
TIMES_DARKER = 2
ELONGATED = 2
_NAMED = 6


@dataclass(frozen=True)
class DataWarning:
    """One suspicious thing.

    Attributes:
        kind: what.
        text: where and how much.
    """

    kind: Kind
    text: str

    @property
    def serious(self) -> bool:
        """Whether it can make results worthless."""
        return ADVICE[self.kind].serious

    @property
    def title(self) -> str:
        """What was found, as a sentence."""
        return _sentence(self.text)

    @property
    def advice(self) -> str:
        """What it means and what to do, two sentences."""
        return f"{_sentence(ADVICE[self.kind].meaning)} {_sentence(ADVICE[self.kind].remedy)}"

    def line(self) -> str:
        """All of it in one line, for a terminal or a log."""
        return f"{self.text}: {ADVICE[self.kind].meaning}; {ADVICE[self.kind].remedy}"

    def record(self) -> dict[str, str | bool]:
        """As plain data for JSON."""
        advice = ADVICE[self.kind]
        return {
            "kind": str(self.kind),
            "text": self.text,
            "meaning": advice.meaning,
            "remedy": advice.remedy,
            "serious": advice.serious,
        }


def data_warnings(found: Survey, target: Target) -> list[DataWarning]:
    """Everything suspicious, the serious things first; of masks and labels what the task learns."""
    of_target = {"mask": _of_masks, "label": _of_labels, "none": _of_nothing}[target]
    crossings = [_crossing(crossing, found.splits) for crossing in found.crossings]
    told = [*of_target(found), *crossings, *_of_images(found)]
    return sorted(told, key=lambda warning: not warning.serious)


def _of_nothing(_found: Survey) -> Iterator[DataWarning]:
    yield from ()


def _of_masks(found: Survey) -> Iterator[DataWarning]:
    masks = {name: split.masks for name, split in found.splits.items() if split.masks}
    yield from _without_foreground(masks)
    for name, mask in masks.items():
        total = found.splits[name].images
        if mask.empty and total > mask.empty and mask.empty > MOSTLY * total:
            text = f"{mask.empty:,} of {total:,} {name} masks are empty"
            yield DataWarning(Kind.MOSTLY_EMPTY, text)
        if mask.unscored:
            text = f"every pixel of {mask.unscored:,} of {total:,} {name} masks is ignored"
            yield DataWarning(Kind.NOTHING_SCORED, text)
        elif mask.ignored > MOSTLY * mask.pixels:
            text = f"{percent(mask.ignored / mask.pixels)} of all {name} pixels are ignored"
            yield DataWarning(Kind.MOSTLY_IGNORED, text)
        if mask.unknown:
            text = f"{mask.unknown:,} pixels of {name} masks have a value that is no class"
            yield DataWarning(Kind.UNKNOWN_VALUES, text)
        yield from _of_classes(name, mask, found.background)


def _without_foreground(masks: Mapping[str, MaskSurvey]) -> Iterator[DataWarning]:
    """The splits that have scored pixels and no foreground, told together."""
    bare = [
        name
        for name, mask in masks.items()
        if mask.empty and not any(c.pixels for c in list(mask.classes.values())[1:])
    ]
    if bare:
        text = f"no foreground in {listed(bare)}: every mask is empty"
        yield DataWarning(Kind.NO_FOREGROUND, text)


def _of_classes(name: str, mask: MaskSurvey, background: bool) -> Iterator[DataWarning]:
    scored = sum(found.pixels for found in mask.classes.values())
    foreground = dict(list(mask.classes.items())[1 if background else 0 :])
    if not any(found.pixels for found in foreground.values()):
        return  # of all classes something else has been said
    missing = [label for label, found in mask.classes.items() if not found.pixels]
    if missing:
        yield _missing(name, missing, len(mask.classes))
    for label, found in foreground.items():
        share = found.pixels / scored
        if background and share > INVERTED_SHARE:
            text = f"`{label}` is {percent(share)} of all scored {name} pixels"
            yield DataWarning(Kind.INVERTED, text)
    rare = [k for k, c in foreground.items() if 0 < c.pixels < RARE_SHARE * scored]
    if rare and name == "train":
        text = f"less than 0.1% of all scored {name} pixels are of {_labels(rare, len(foreground))}"
        yield DataWarning(Kind.RARE_CLASS, text)


def _of_labels(found: Survey) -> Iterator[DataWarning]:
    for name, split in found.splits.items():
        counts = split.labels or {}
        missing = [label for label, count in counts.items() if not count]
        if missing and split.images:
            yield _missing(name, missing, len(counts))
        there = {label: count for label, count in counts.items() if count}
        if name == "train" and there and max(there.values()) >= IMBALANCE * min(there.values()):
            most, least = max(there, key=lambda k: there[k]), min(there, key=lambda k: there[k])
            text = (
                f"{name} has {there[most]:,} images of `{most}` and {there[least]:,} of `{least}`"
            )
            yield DataWarning(Kind.IMBALANCED, text)


def _missing(split: str, missing: Sequence[str], total: int) -> DataWarning:
    return DataWarning(Kind.MISSING_CLASS, f"{split} has no image of {_labels(missing, total)}")


def _labels(names: Sequence[str], total: int) -> str:
    """`class x`, or how many classes and the first of them."""
    shown = ", ".join(f"`{name}`" for name in names[:_NAMED]) + ", …" * (len(names) > _NAMED)
    return f"class {shown}" if len(names) == 1 else f"{len(names)} of {total} classes ({shown})"


def _crossing(found: Crossing, splits: Mapping[str, SplitSurvey]) -> DataWarning:
    more = ", …" if found.count > len(found.examples) else ""
    shown = f"({', '.join(found.examples[:3])}{', …' if len(found.examples) > 3 else more})"
    match found.what:
        case "images":
            text = (
                f"{found.count:,} of {splits[found.second].images:,} {found.second} images are in "
                f"{found.first}, too, identical or nearly identical {shown}"
            )
            return DataWarning(Kind.SHARED_IMAGES, text)
        case "groups":
            text = f"{found.count:,} groups are in both {found.first} and {found.second} {shown}"
            return DataWarning(Kind.SHARED_GROUPS, text)
        case _:
            text = f"{found.count:,} names are in both {found.first} and {found.second} {shown}"
            return DataWarning(Kind.SHARED_NAMES, text)


def _of_images(found: Survey) -> Iterator[DataWarning]:
    few = {n: s.images for n, s in found.splits.items() if n != "train" and s.images < FEW_IMAGES}
    if few:
        counts = [
            f"{count} {'image' if count == 1 else 'images'} in {n}" for n, count in few.items()
        ]
        yield DataWarning(Kind.FEW_IMAGES, f"only {listed(counts)}")
    for name, split in found.splits.items():
        if split.values and split.values.blank:
            text = f"{split.values.blank:,} of {split.images:,} {name} images are of one value"
            yield DataWarning(Kind.BLANK_IMAGES, text)
    yield from _of_values(found.splits)
    yield from _of_colour(found.splits)
    yield from _of_files(found.splits)


def _of_values(splits: Mapping[str, SplitSurvey]) -> Iterator[DataWarning]:
    """The range that is used, of the depth and between splits."""
    values = {name: split.values for name, split in splits.items() if split.values}
    train = values.get("train")
    if train is None:
        return
    used = (train.high - train.low + 1) / 2**train.bits
    if train.high > train.low and used < NARROW:
        text = (
            f"train images use the values {train.low:,} to {train.high:,} of "
            f"{2**train.bits:,}, {percent(used)}"
        )
        yield DataWarning(Kind.NARROW_RANGE, text)
    for name, other in values.items():
        brights = sorted((train.bright, other.bright))
        if name != "train" and brights[1] > TIMES_DARKER * max(brights[0], 1):
            text = (
                f"the brightest pixels of {name} have {other.bright:,}, those of train "
                f"{train.bright:,}"
            )
            yield DataWarning(Kind.SPLITS_DIFFER_IN_RANGE, text)


def _of_colour(splits: Mapping[str, SplitSurvey]) -> Iterator[DataWarning]:
    grey = {n: s.values.grey / s.images for n, s in splits.items() if s.values}
    if not grey:
        return
    if max(grey.values()) - min(grey.values()) > MOSTLY:
        told = ", ".join(f"{percent(share)} of {name}" for name, share in grey.items())
        yield DataWarning(Kind.SPLITS_DIFFER_IN_COLOUR, f"grey images are {told}")
    modes = {mode for split in splits.values() if split.files for mode in split.files.modes}
    if min(grey.values()) == 1 and modes & {"RGB", "RGBA", "P", "CMYK", "YCbCr"}:
        text = "all images are grey and stored in colour"
        yield DataWarning(Kind.GREY_AS_COLOUR, text)


def _of_files(splits: Mapping[str, SplitSurvey]) -> Iterator[DataWarning]:
    files = {name: split.files for name, split in splits.items() if split.files}
    depths = {depth for found in files.values() for depth in found.bits}
    if len(depths) > 1:
        text = f"images of {listed(sorted(depths, key=int))} bits are mixed"
        yield DataWarning(Kind.MIXED_DEPTH, text)
    turned = {name: sum(found.orientations.values()) for name, found in files.items()}
    stacks = {name: sum(found.pages.values()) for name, found in files.items()}
    for kind, counts, what in (
        (Kind.ORIENTATION, turned, "have an EXIF orientation"),
        (Kind.SEVERAL_PAGES, stacks, "have several pages"),
    ):
        told = [f"{n:,} of {files[name].count:,} {name}" for name, n in counts.items() if n]
        if told:
            yield DataWarning(kind, f"{listed(told)} images {what}")
    yield from _of_sizes(splits, files)


def _of_sizes(
    splits: Mapping[str, SplitSurvey], files: Mapping[str, FilesSurvey]
) -> Iterator[DataWarning]:
    """What becoming a square of one size does to the train images; those of a median size."""
    if "train" not in files:
        return
    (width, height), size = files["train"].median, splits["train"].width
    if max(width, height) < size:
        text = f"train images of {width}×{height} (median) are enlarged to {size}×{size}"
        yield DataWarning(Kind.ENLARGED, text)
    if max(width, height) > ELONGATED * min(width, height):
        text = f"train images of {width}×{height} (median) become squares"
        yield DataWarning(Kind.STRETCHED, text)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
