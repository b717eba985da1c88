"""A survey in lines and tables, the same for the terminal and the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bench.data.survey import SplitSurvey, Survey
from bench.data.survey_files import FilesSurvey
from bench.data.survey_words import MISSING, listed, percent, span

IGNORED = "(ignored)"
_TURNS = {
    "2": "mirrored", "3": "180°", "4": "mirrored, 180°", "5": "mirrored, 90°", "6": "90°",
    "7": "mirrored, 270°", "8": "270°",
}  # fmt: skip
"""How far a viewer turns the stored pixels clockwise, by EXIF orientation (Exif 2.32, 4.6.4)."""


@dataclass(frozen=True)
class FactTable:
    """Facts by split.

    Attributes:
        splits: their names, which head the columns.
        rows: a fact's name and its text for each split.
        about: what the texts are, a sentence; empty where their names say it.
    """

    splits: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    about: str = ""


def summary_lines(found: Survey, title: str) -> list[str]:
    """The data set called `title` in a line, and its masks in another."""
    counts = [f"{split.images:,} {name}" for name, split in found.splits.items()]
    any_split = next(iter(found.splits.values()), None)
    parts = [f"{listed(counts)} images"]
    if any_split:
        parts.append(f"{any_split.width}×{any_split.height}")
        stored = [s.files for s in found.splits.values() if s.files]
        if stored:
            parts.append(f"stored {_size_range(stored)}")
            parts.append(_depths(stored))
        parts.append(f"values {_values(found)}")
    lines = [f"Data {title}: {', '.join(parts)}."]
    train = found.splits.get("train")
    if train and train.masks:
        lines.append(_mask_line(train, found.background))
    return lines


def _mask_line(train: SplitSurvey, background: bool) -> str:
    assert train.masks is not None
    masks, classes = train.masks, list(train.masks.classes.items())
    shown = classes[1:3] if background else classes[:3]
    shown_parts = [f"{name} {percent(c.share)}" for name, c in shown]
    more = len(classes) - len(shown) - int(background)
    shown_parts += [f"{more} more class{'es' if more > 1 else ''}"] if more else []
    if masks.empty:
        shown_parts.append(f"{masks.empty:,} of {train.images:,} masks are empty")
    if masks.ignored:
        shown_parts.append(f"{percent(masks.ignored / masks.pixels)} ignored")
    return f"Pixels of train: {', '.join(shown_parts)}."


def _values(found: Survey) -> str:
    known = [split.values for split in found.splits.values() if split.values]
    if not known:
        return MISSING
    return span(min(v.low for v in known), max(v.high for v in known))


def _size_range(files: list[FilesSurvey]) -> str:
    small = min((f.smallest for f in files), key=lambda size: size[0] * size[1])
    large = max((f.largest for f in files), key=lambda size: size[0] * size[1])
    return size_text(small) if small == large else f"{size_text(small)} to {size_text(large)}"


def _depths(files: list[FilesSurvey]) -> str:
    return f"{listed(sorted({d for f in files for d in f.bits}, key=int))} bit"


def size_text(size: tuple[int, int]) -> str:
    """`64×48`: width and height."""
    return f"{size[0]:,}×{size[1]:,}"


def fact_table(found: Survey) -> FactTable:
    """Everything but classes, a row per fact; facts that no split has are left out."""
    rows = []
    for name, text in _FACTS.items():
        cells = tuple(text(split) for split in found.splits.values())
        if any(cells):
            rows.append((name, tuple(cell or MISSING for cell in cells)))
    return FactTable(tuple(found.splits), tuple(rows), _window_text(found))


def _window_text(found: Survey) -> str:
    """Which values become black and white; nothing where it is what all 8-bit images have."""
    window = found.window
    if (window.low, window.high) == (0, 255):
        return ""
    values = span(window.low, window.high)
    return f"Values {values} become black to white (data.window: {window.origin})."


Fact = Callable[[SplitSurvey], str]
"""Of a split; empty where it has none."""


def _of_files(text: Callable[[FilesSurvey], str]) -> Fact:
    return lambda split: text(split.files) if split.files else ""


def _of_masks(text: Callable[[FilesSurvey], str]) -> Fact:
    return lambda split: text(split.mask_files) if split.mask_files else ""


def _counts(found: Mapping[str, int], words: Mapping[str, str] | None = None) -> str:
    """`RGB 8, L 4`; the number alone is left out where there is one kind only."""
    named = [((words or {}).get(key, key), count) for key, count in found.items()]
    return named[0][0] if len(named) == 1 else ", ".join(f"{k}: {n:,}" for k, n in named)


def _some(found: Mapping[str, int], words: Mapping[str, str] | None = None) -> str:
    """Of images that are unlike the others: how many, and of which kind."""
    shown_parts = ", ".join(f"{n:,} ({(words or {}).get(key, key)})" for key, n in found.items())
    return shown_parts or "0"


def _size(files: FilesSurvey) -> str:
    """Of all files, where it is one; else the median."""
    median = f"{size_text(files.median)} (median)"
    return size_text(files.smallest) if files.distinct_sizes == 1 else median


def _several_sizes(text: Callable[[FilesSurvey], str]) -> Fact:
    return _of_files(lambda files: text(files) if files.distinct_sizes > 1 else "")


def _stored_values(files: FilesSurvey) -> str:
    """The range, and how many bits it takes where files have more than 8 and it takes fewer."""
    most, used = max(map(int, files.bits)), int(files.high).bit_length()
    few = f" ({used} bits)" if 8 < most <= 16 and used < most and files.low >= 0 else ""
    return span(files.low, files.high) + few


def _used(split: SplitSurvey) -> str:
    return span(split.values.low, split.values.high) if split.values else ""


def _central(split: SplitSurvey) -> str:
    return span(split.values.dark, split.values.bright) if split.values else ""


def _blank(split: SplitSurvey) -> str:
    return f"{split.values.blank:,}" if split.values and split.values.blank else ""


def _empty(split: SplitSurvey) -> str:
    if split.masks is None or split.masks.empty is None:
        return ""
    share = split.masks.empty / split.images if split.images else None
    return f"{split.masks.empty:,} ({percent(share)})"


def _unscored(split: SplitSurvey) -> str:
    return f"{split.masks.unscored:,}" if split.masks and split.masks.unscored else ""


_FACTS: Mapping[str, Fact] = {
    "images": lambda split: f"{split.images:,}",
    "groups": lambda split: "" if split.groups is None else f"{split.groups:,}",
    "stored at": _of_files(_size),
    "smallest": _several_sizes(lambda f: size_text(f.smallest)),
    "largest": _several_sizes(lambda f: size_text(f.largest)),
    "different sizes": _several_sizes(lambda f: f"{f.distinct_sizes:,}"),
    "kind of pixels": _of_files(lambda f: _counts(f.modes)),
    "bits": _of_files(lambda f: _counts(f.bits)),
    "stored values": _of_files(_stored_values),
    "EXIF orientation": _of_files(lambda f: _some(f.orientations, _TURNS)),
    "several pages": _of_files(lambda f: _some(f.pages)),
    "trained at": lambda split: size_text((split.width, split.height)),
    "values used": _used,
    "99.8% of them in": _central,
    "grey images": lambda split: f"{split.values.grey:,}" if split.values else "",
    "images of one value": _blank,
    "kind of mask": _of_masks(lambda f: _counts(f.modes)),
    "values in masks": _of_masks(lambda f: span(f.low, f.high)),
    "empty masks": _empty,
    "masks all ignored": _unscored,
}


def class_table(found: Survey) -> FactTable | None:
    """The classes of the masks: share of all pixels, and in how many images; None without any."""
    masks = {name: split.masks for name, split in found.splits.items() if split.masks}
    if not masks:
        return None
    names = next(iter(masks.values())).classes
    rows = [
        (
            name,
            tuple(
                f"{percent(m.classes[name].share)} in {m.classes[name].images:,}"
                for m in masks.values()
            ),
        )
        for name in names
    ]
    if any(mask.ignored for mask in masks.values()):
        shares = [m.ignored / m.pixels if m.pixels else None for m in masks.values()]
        rows.append((IGNORED, tuple(map(percent, shares))))
    return FactTable(
        tuple(masks), tuple(rows), "Share of all pixels, and the number of images with the class."
    )


def label_table(found: Survey) -> FactTable | None:
    """The labels of the images: how many have each, and their share; None without labels."""
    labels = {name: split.labels for name, split in found.splits.items() if split.labels}
    if not labels:
        return None
    names = next(iter(labels.values()))
    rows = [(name, tuple(_label_cell(found, name) for found in labels.values())) for name in names]
    return FactTable(tuple(labels), tuple(rows), "Images with each label, and their share.")


def _label_cell(counts: Mapping[str, int], name: str) -> str:
    total = sum(counts.values())
    return f"{counts[name]:,} ({percent(counts[name] / total if total else None)})"


def tables(found: Survey) -> Iterator[tuple[str, FactTable]]:
    """All of them, by title."""
    yield "Images", fact_table(found)
    for title, table in (("Classes", class_table(found)), ("Labels", label_table(found))):
        if table:
            yield title, table
