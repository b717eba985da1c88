"""What a data set is like, counted before anything is trained on it: plain numbers, split by split.

Unknown is None: a data set of the user's own has no files that could be described, one without
masks no classes. `bench.data.survey_warnings` says what of it is suspicious.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bench.data.base import Split, Splits
from bench.data.base_settings import DataSettings, FilesSettings
from bench.data.duplicates import Twin, twins
from bench.data.survey_counts import Ints, PixelValues, pixel_values, pixels_by_class
from bench.data.survey_files import FilesSurvey, files_survey
from bench.errors import StoreError

EXAMPLES = 5
FOLDS, OTHER_FOLDS = "the folds", "another fold"
"""What a crossing calls the images that folds share out, and those of another of them."""
_FOLD = "fold "


@dataclass(frozen=True)
class ClassSurvey:
    """One class in the masks of one split.

    Attributes:
        pixels: how many are of it.
        share: of all pixels of the split, the ignored ones included; None: the split has none.
        images: in how many it occurs.
    """

    pixels: int
    share: float | None
    images: int


@dataclass(frozen=True)
class MaskSurvey:
    """The masks of one split.

    Attributes:
        classes: by name, in the data set's order.
        ignored: pixels that are not scored.
        unknown: pixels whose value is no class of the data set.
        pixels: all of them.
        empty: masks that have scored pixels and none of them foreground; None where class 0 is no
            background.
        unscored: masks of which every pixel is ignored.
    """

    classes: dict[str, ClassSurvey]
    ignored: int
    unknown: int
    pixels: int
    empty: int | None
    unscored: int


@dataclass(frozen=True)
class WindowSurvey:
    """Which values become black and white; what lies outside is cut off.

    Attributes:
        low, high: in the files' own units.
        origin: `full`, `auto`, `percentiles` or `given`.
    """

    low: float
    high: float
    origin: str


@dataclass(frozen=True)
class SplitSurvey:
    """One split.

    Attributes:
        images: how many.
        height, width: of the arrays that are trained on.
        values: the pixel values in these arrays; None without images.
        masks: None: it has none.
        labels: images with each label, by name; one image can have several. None: they have none.
        unknown_labels: images whose label is no class of the data set.
        groups: how many groups the images belong to; None: they are not grouped.
        files: what the image files say; None: not known.
        mask_files: likewise of the masks.
    """

    images: int
    height: int
    width: int
    values: PixelValues | None
    masks: MaskSurvey | None
    labels: dict[str, int] | None
    unknown_labels: int
    groups: int | None
    files: FilesSurvey | None
    mask_files: FilesSurvey | None


@dataclass(frozen=True)
class Crossing:
    """Something that two splits share.

    Attributes:
        what: `images` (identical or nearly so), `names` or `groups`.
        first, second: the splits, the earlier one first.
        count: images of `second` that `first` has too; for groups, the groups in both.
        identical: of the images, those that are equal to the pixel.
        examples: a few, for a reader.
    """

    what: str
    first: str
    second: str
    count: int
    identical: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Survey:
    """A data set.

    Attributes:
        name: see `data_set_name`.
        fingerprint: of its content.
        background: whether class 0 of the masks is background.
        upright: whether images are turned as EXIF says.
        window: which values become black and white.
        splits: by name.
        crossings: what several splits share.
        notes: what reading it had to say.
    """

    name: str
    fingerprint: str
    background: bool
    upright: bool
    window: WindowSurvey
    splits: dict[str, SplitSurvey]
    crossings: tuple[Crossing, ...]
    notes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return asdict(self)


def data_set_name(settings: DataSettings) -> str:
    """`folder`, `oxford_pet`, …; of the user's own, its `target`."""
    return str(getattr(settings, "name", None) or getattr(settings, "target", ""))


def survey_of(data: Splits, settings: DataSettings) -> Survey:
    """Count everything once over what was decoded with these settings."""
    background = settings.background == "first"
    filled = {name: split for name, split in data.splits.items() if len(split)}
    return Survey(
        name=data_set_name(settings),
        fingerprint=data.fingerprint,
        background=background,
        upright=not isinstance(settings, FilesSettings) or settings.exif == "apply",
        window=WindowSurvey(data.window.low, data.window.high, data.window.origin),
        splits={key: _split(split, data, background) for key, split in data.splits.items()},
        crossings=(*_shared_images(data, filled), *_shared_sets(data.splits)),
        notes=data.notes,
    )


def read_survey(record: Mapping[str, Any]) -> Survey:
    """The survey that `Survey.record` described.

    Raises:
        StoreError: it describes none.
    """
    try:
        return TypeAdapter(Survey).validate_python(record)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise StoreError(f"a survey of data cannot be used: {where}: {problem['msg']}") from error


def _split(split: Split, data: Splits, background: bool) -> SplitSurvey:
    height, width = split.images.shape[1:3]
    known = None if split.labels is None else _label_counts(split.labels, data.labels)
    several = split.labels is not None and split.labels.ndim == 2
    return SplitSurvey(
        images=len(split),
        height=height,
        width=width,
        values=pixel_values(split.images, data.window),
        masks=None if split.masks is None else mask_survey(split, data.classes, background),
        labels=known,
        unknown_labels=0 if known is None or several else len(split) - sum(known.values()),
        groups=len(set(split.groups)) if split.groups else None,
        files=files_survey(split.facts),
        mask_files=files_survey(split.mask_facts),
    )


def mask_survey(split: Split, classes: Sequence[str], background: bool) -> MaskSurvey:
    """Count the masks of a split that has some."""
    assert split.masks is not None
    table = pixels_by_class(split.masks, len(classes))
    of_class, ignored, unknown = table[:, : len(classes)], table[:, -2], table[:, -1]
    scored, total = of_class.sum(1), int(table.sum())
    return MaskSurvey(
        classes={
            name: ClassSurvey(
                pixels=int(of_class[:, label].sum()),
                share=float(of_class[:, label].sum() / total) if total else None,
                images=int((of_class[:, label] > 0).sum()),
            )
            for label, name in enumerate(classes)
        },
        ignored=int(ignored.sum()),
        unknown=int(unknown.sum()),
        pixels=total,
        empty=int(((scored > 0) & (of_class[:, 1:].sum(1) == 0)).sum()) if background else None,
        unscored=int((scored == 0).sum()),
    )


def _label_counts(found: Ints, labels: Sequence[str]) -> dict[str, int]:
    of_label = (
        (found == 1).T if found.ndim == 2 else (found == label for label in range(len(labels)))
    )
    return {name: int(own.sum()) for name, own in zip(labels, of_label, strict=True)}


def _shared_images(data: Splits, filled: Mapping[str, Split]) -> tuple[Crossing, ...]:
    """Near-duplicates in several splits; of cross-validation in several folds, whichever is val."""
    if not data.folds:
        return shared_images(twins(filled, data.window))
    folds = {f"{_FOLD}{number}": fold for number, fold in enumerate(data.folds)}
    tests = {name: split for name, split in filled.items() if name == "test"}
    found = twins({**folds, **tests}, data.window)
    once: dict[tuple[str, str], Twin] = {}
    for twin in sorted(found, key=lambda each: not each.identical):
        split = FOLDS if twin.split in folds else twin.split
        other = OTHER_FOLDS if split == FOLDS else FOLDS
        once.setdefault((split, twin.name), replace(twin, split=split, other_split=other))
    return shared_images(list(once.values()))


def shared_images(found: Sequence[Twin]) -> tuple[Crossing, ...]:
    """Near-duplicates, counted for every two splits that share some."""
    pairs: dict[tuple[str, str], list[Twin]] = {}
    for twin in found:
        pairs.setdefault((twin.other_split, twin.split), []).append(twin)
    return tuple(
        Crossing(
            what="images",
            first=first,
            second=second,
            count=len(of_pair),
            identical=sum(twin.identical for twin in of_pair),
            examples=tuple(map(_twin_in_words, sorted(of_pair, key=lambda t: not t.identical)))[
                :EXAMPLES
            ],
        )
        for (first, second), of_pair in pairs.items()
    )


def _twin_in_words(twin: Twin) -> str:
    relation = "is" if twin.identical else "is nearly"
    return f"{_printable(twin.name)} {relation} {_printable(twin.other_name)}"


def _printable(name: str) -> str:
    """A file's name may have bytes that are no text."""
    return name.encode(errors="backslashreplace").decode()


def _shared_sets(splits: Mapping[str, Split]) -> tuple[Crossing, ...]:
    """Groups in two splits, and names, which only a data set of the user's own can have twice."""
    groups = {name: set(split.groups) for name, split in splits.items()}
    names = {name: set(split.names) for name, split in splits.items()}
    return (*_shared("groups", groups), *_shared("names", names))


def _shared(what: str, members: Mapping[str, set[str]]) -> tuple[Crossing, ...]:
    found = []
    for first, second in combinations(members, 2):
        both = sorted(members[first] & members[second])
        if both:
            found.append(
                Crossing(what, first, second, len(both), 0, tuple(map(_printable, both[:EXAMPLES])))
            )
    return tuple(found)
