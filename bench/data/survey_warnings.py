"""What in a data set is suspicious: the rules, over what was counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.data.survey import FOLDS, Crossing, MaskSurvey, SplitSurvey, Survey
from bench.data.survey_files import FilesSurvey
from bench.data.survey_kinds import ADVICE, Kind
from bench.data.survey_words import listed, number, percent, span

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
_EXAMPLES = 3


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
    parts = [*of_target(found), *crossings, *_of_images(found)]
    return sorted(parts, key=lambda warning: not warning.serious)


def _of_nothing(_found: Survey) -> Iterator[DataWarning]:
    yield from ()


def _of_masks(found: Survey) -> Iterator[DataWarning]:
    masks = {name: split.masks for name, split in found.splits.items() if split.masks}
    images = {name: found.splits[name].images for name in masks}
    yield from _without_foreground(masks)
    empty = {name: mask.empty or 0 for name, mask in masks.items()}
    if parts := [
        _of(empty[name], images[name], name)
        for name in masks
        if images[name] > empty[name] > MOSTLY * images[name]
    ]:
        yield DataWarning(Kind.MOSTLY_EMPTY, f"{listed(parts)} masks are empty")
    if parts := [_of(m.unscored, images[name], name) for name, m in masks.items() if m.unscored]:
        yield DataWarning(Kind.NOTHING_SCORED, f"every pixel is ignored in {listed(parts)} masks")
    if parts := [
        f"{percent(mask.ignored / mask.pixels)} of {name}"
        for name, mask in masks.items()
        if mask.ignored > MOSTLY * mask.pixels
    ]:
        yield DataWarning(Kind.MOSTLY_IGNORED, f"{listed(parts)} pixels are ignored")
    if parts := [f"{mask.unknown:,} {name}" for name, mask in masks.items() if mask.unknown]:
        text = f"{listed(parts)} pixels of masks have a value that is no class"
        yield DataWarning(Kind.UNKNOWN_VALUES, text)
    yield from _of_classes(masks, found.background)


def _of(count: int, total: int, name: str) -> str:
    return f"{count:,} of {total:,} {name}"


def _without_foreground(masks: Mapping[str, MaskSurvey]) -> Iterator[DataWarning]:
    """The splits that have scored pixels and no foreground."""
    bare = [
        name
        for name, mask in masks.items()
        if mask.empty and not any(c.pixels for c in list(mask.classes.values())[1:])
    ]
    if bare:
        text = f"no foreground in {listed(bare)}: every mask is empty"
        yield DataWarning(Kind.NO_FOREGROUND, text)


def _of_classes(masks: Mapping[str, MaskSurvey], background: bool) -> Iterator[DataWarning]:
    first = 1 if background else 0
    pixels = {name: {k: c.pixels for k, c in mask.classes.items()} for name, mask in masks.items()}
    # of splits without any of these classes something else has been said
    pixels = {name: found for name, found in pixels.items() if any(list(found.values())[first:])}
    yield from _missing(pixels)
    scored = {name: sum(found.values()) for name, found in pixels.items()}
    for label in list(next(iter(pixels.values()), ()))[first:] if background else ():
        shares = {name: found[label] / scored[name] for name, found in pixels.items()}
        if parts := [f"{percent(s)} of {name}" for name, s in shares.items() if s > INVERTED_SHARE]:
            yield DataWarning(Kind.INVERTED, f"{label!r} fills {listed(parts)} pixels")
    labels = list(pixels.get("train", ()))[first:]
    rare = [k for k in labels if 0 < pixels["train"][k] < RARE_SHARE * scored["train"]]
    if rare:
        text = f"less than 0.1% of all scored train pixels are of {_labels(rare, len(labels))}"
        yield DataWarning(Kind.RARE_CLASS, text)


def _of_labels(found: Survey) -> Iterator[DataWarning]:
    labels = {name: split.labels for name, split in found.splits.items() if split.labels}
    yield from _missing({name: of for name, of in labels.items() if any(of.values())})
    unknown = {name: s.unknown_labels for name, s in found.splits.items() if s.unknown_labels}
    if parts := [_of(count, found.splits[name].images, name) for name, count in unknown.items()]:
        yield DataWarning(
            Kind.UNKNOWN_VALUES, f"{listed(parts)} images have a label that is no class"
        )
    there = {label: count for label, count in labels.get("train", {}).items() if count}
    if there and max(there.values()) >= IMBALANCE * min(there.values()):
        most, least = max(there, key=lambda k: there[k]), min(there, key=lambda k: there[k])
        text = f"train has {there[most]:,} images of {most!r} and {there[least]:,} of {least!r}"
        yield DataWarning(Kind.IMBALANCED, text)


def _missing(counts: Mapping[str, Mapping[str, int]]) -> Iterator[DataWarning]:
    """The classes that splits lack; splits that lack the same ones are named together."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for name, found in counts.items():
        if missing := tuple(label for label, count in found.items() if not count):
            lacking.setdefault(missing, []).append(name)
    for missing, names in lacking.items():
        total = len(counts[names[0]])
        have = "has" if len(names) == 1 else "have"
        text = f"{listed(names)} {have} no image of {_labels(missing, total)}"
        yield DataWarning(Kind.MISSING_CLASS, text)


def _labels(names: Sequence[str], total: int) -> str:
    """`class 'x'`, or how many classes and the first of them."""
    shown = ", ".join(map(repr, names[:_NAMED])) + ", …" * (len(names) > _NAMED)
    return f"class {shown}" if len(names) == 1 else f"{len(names)} of {total} classes ({shown})"


def _crossing(found: Crossing, splits: Mapping[str, SplitSurvey]) -> DataWarning:
    shown = f"({', '.join(found.examples[:_EXAMPLES])}{', …' if found.count > _EXAMPLES else ''})"
    if found.second == FOLDS:
        pooled = sum(split.images for name, split in splits.items() if name != "test")
        text = (
            f"{found.count:,} of {pooled:,} images are in {found.first}, too, identical or nearly "
            f"identical {shown}"
        )
        return DataWarning(Kind.SHARED_BY_FOLDS, text)
    if found.what == "images":
        text = (
            f"{_of(found.count, splits[found.second].images, found.second)} images are in "
            f"{found.first}, too, identical or nearly identical {shown}"
        )
        return DataWarning(Kind.SHARED_IMAGES, text)
    kind, one = {
        "groups": (Kind.SHARED_GROUPS, "group"),
        "names": (Kind.SHARED_NAMES, "name"),
    }[found.what]
    things = f"1 {one} is" if found.count == 1 else f"{found.count:,} {one}s are"
    return DataWarning(kind, f"{things} in both {found.first} and {found.second} {shown}")


def _of_images(found: Survey) -> Iterator[DataWarning]:
    few = {n: s.images for n, s in found.splits.items() if n != "train" and s.images < FEW_IMAGES}
    if few:
        counts = [
            f"{count} {'image' if count == 1 else 'images'} in {n}" for n, count in few.items()
        ]
        yield DataWarning(Kind.FEW_IMAGES, f"only {listed(counts)}")
    blank = {n: s.values.blank for n, s in found.splits.items() if s.values and s.values.blank}
    if blank:
        parts = [_of(count, found.splits[name].images, name) for name, count in blank.items()]
        yield DataWarning(Kind.BLANK_IMAGES, f"{listed(parts)} images are of one value")
    yield from _of_values(found)
    yield from _of_colour(found.splits)
    yield from _of_files(found)


def _of_values(found: Survey) -> Iterator[DataWarning]:
    """How much of black to white is used, and whether splits differ in it."""
    values = {name: split.values for name, split in found.splits.items() if split.values}
    window, train = found.window, values.get("train")
    if train is None:
        return
    whole = window.high - window.low
    used = (min(train.high, window.high) - max(train.low, window.low)) / whole
    if train.high > train.low and used < NARROW:
        text = (
            f"train images use the values {span(train.low, train.high)} where "
            f"{span(window.low, window.high)} are black to white: {percent(max(used, 0))}"
        )
        yield DataWarning(Kind.NARROW_RANGE, text)
    bright = {name: found.bright for name, found in values.items()}
    level = {name: max(value - window.low, whole / 255) for name, value in bright.items()}
    if parts := [
        f"{number(bright[name])} in {name}"
        for name in values
        if max(level[name], level["train"]) > TIMES_DARKER * min(level[name], level["train"])
    ]:
        text = f"the brightest pixels have {listed(parts)}, and {number(train.bright)} in train"
        yield DataWarning(Kind.SPLITS_DIFFER_IN_RANGE, text)
    if window.origin == "given" and (
        parts := [n for n, v in values.items() if v.dark < window.low or v.bright > window.high]
    ):
        text = f"more than 0.1% of the values in {listed(parts)} are outside data.window"
        yield DataWarning(Kind.CLIPPED, text)


def _of_colour(splits: Mapping[str, SplitSurvey]) -> Iterator[DataWarning]:
    grey = {n: s.values.grey / s.images for n, s in splits.items() if s.values}
    if not grey:
        return
    if max(grey.values()) - min(grey.values()) > MOSTLY:
        parts = ", ".join(f"{percent(share)} of {name}" for name, share in grey.items())
        yield DataWarning(Kind.SPLITS_DIFFER_IN_COLOUR, f"grey images are {parts}")
    modes = {mode for split in splits.values() if split.files for mode in split.files.modes}
    if min(grey.values()) == 1 and modes & {"RGB", "RGBA", "P", "CMYK", "YCbCr"}:
        text = "all images are grey and stored in colour"
        yield DataWarning(Kind.GREY_AS_COLOUR, text)


def _of_files(found: Survey) -> Iterator[DataWarning]:
    files = {name: split.files for name, split in found.splits.items() if split.files}
    # up to 8 bits all are read as 8
    depths = {str(max(8, int(bits))) for of_split in files.values() for bits in of_split.bits}
    if len(depths) > 1:
        text = f"images of {listed(sorted(depths, key=int))} bits are mixed"
        yield DataWarning(Kind.MIXED_DEPTH, text)
    turned = {name: sum(of_split.orientations.values()) for name, of_split in files.items()}
    stacks = {name: sum(of_split.pages.values()) for name, of_split in files.items()}
    orientation = Kind.ORIENTATION if found.upright else Kind.ORIENTATION_IGNORED
    for kind, counts, what in (
        (orientation, turned, "have an EXIF orientation"),
        (Kind.SEVERAL_PAGES, stacks, "have several pages"),
    ):
        parts = [f"{n:,} of {files[name].count:,} {name}" for name, n in counts.items() if n]
        if parts:
            yield DataWarning(kind, f"{listed(parts)} images {what}")
    yield from _of_sizes(found.splits, files)


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
