"""Names of samples: files by name, mask names with a suffix, and names in text files.

Names are compared in one Unicode form (NFC): macOS stores `é` as two characters, others as one.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import itertools
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from bench.data.endings import ENDINGS, is_image, is_readable
from bench.data.pages import one_line
from bench.data.plain import open_plain
from bench.errors import DataError

_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SEPARATED = re.compile(r"[-_. ]")


def normal(name: str) -> str:
    """The name in the form in which names are compared."""
    return unicodedata.normalize("NFC", name)


def images_by_stem(
    folder: Path, remedy: str, *, nested: bool = False, follow_links: bool = False
) -> dict[str, Path]:
    """The image files of a folder by name without ending.

    Args:
        folder: hidden files and others than images in it are left alone; arrays count where it has
            no images.
        remedy: for the error where there is no such folder.
        nested: images in folders within it count, too, as `a/b/name`; hidden folders do not.
        follow_links: so do those in links to folders.

    Raises:
        DataError: there is no such folder, or two images of one name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder: {remedy}")
    try:
        files = sorted(_images(folder, is_image, nested=nested, follow_links=follow_links))
        if not files:
            files = sorted(_images(folder, is_readable, nested=nested, follow_links=follow_links))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}): {remedy}") from error
    found: dict[str, Path] = {}
    for file in files:
        name = normal(file.relative_to(folder).with_suffix("").as_posix())
        if name in found:
            raise DataError(
                f"{one_line(file)}: {one_line(found[name].name)} has the same name: keep one of "
                "them"
            )
        found[name] = file
    return found


def _images(
    folder: Path, is_wanted: Callable[[str], bool], *, nested: bool, follow_links: bool
) -> Iterator[Path]:
    if nested:
        yield from (f for f in files_under(folder, follow_links=follow_links) if is_wanted(f.name))
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_wanted(entry.name) and not entry.is_dir():
                yield folder / entry.name


def files_under(folder: Path, *, follow_links: bool = False) -> Iterator[Path]:
    """All files below a folder but hidden ones; links to folders are left alone unless followed.

    Raises:
        OSError: the folder cannot be read.
    """
    for where, _, names in walk(folder, follow_links=follow_links):
        yield from (where / name for name in names if not name.startswith("."))


def walk(
    folder: Path, *, follow_links: bool = False
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder below one, with the names of what is in it; without hidden folders."""

    def fail(error: OSError) -> None:
        raise error

    seen: set[tuple[int, int]] = set()  # links may go round in circles
    for where, folders, files in os.walk(folder, followlinks=follow_links, onerror=fail):
        found = Path(where).stat()
        if follow_links and (found.st_dev, found.st_ino) in seen:
            folders.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (follow_links or not (Path(where) / name).is_symlink())
        )
        yield Path(where), folders, files


def what_is_there(folder: Path) -> str:
    """What a folder without images holds, for an error: `, but folders (a) and 12 .heic files`."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    folders = sorted(entry.name for entry in entries if entry.is_dir())
    endings = Counter(entry.suffix.lower() or "other" for entry in entries if not entry.is_dir())
    found = [f"{count} {ending} files" for ending, count in endings.most_common(3)]
    if folders:
        shown = ", ".join(map(one_line, folders[:3])) + (", …" if len(folders) > 3 else "")
        found.insert(0, f"folders ({shown})")
    return f", but {' and '.join(found)}" if found else ""


def masks_of(images: Iterable[str], masks: Mapping[str, Path]) -> tuple[dict[str, Path], str]:
    """The masks by their images' names; and how they are named, where not just the same.

    Masks may all have one suffix more (`cat_mask.png` of `cat.jpg`), or one prefix; and the images
    may have one of their own instead (`cat_sat.jpg`). It is found where it pairs every image, and
    no other does.

    Raises:
        DataError: two suffixes fit, so every image has two masks.
    """
    names = tuple(images)
    if not names or any(name in masks for name in names):
        return dict(masks), ""
    affixes = {
        (own, p, s) for own in _own_suffixes(names) for p, s in _affixes(names[0], own, masks)
    }
    fitting: list[tuple[str, dict[str, str]]] = []
    for own, prefix, suffix in sorted(affixes):
        if all(f"{prefix}{name.removesuffix(own)}{suffix}" in masks for name in names):
            found = {name: f"{prefix}{name.removesuffix(own)}{suffix}" for name in names}
            if all(found != other for _, other in fitting):
                fitting.append((_naming(prefix, suffix, own), found))
    if len(fitting) > 1:
        ways = " and ".join(way for way, _ in fitting)
        folder = next(iter(masks.values())).parent
        raise DataError(
            f"{folder}: every image has several masks, {ways}: leave one of each there, and move "
            "the others to another folder"
        )
    if not fitting:
        return dict(masks), ""
    (way, found) = fitting[0]
    left = {name: file for name, file in masks.items() if name not in set(found.values())}
    return {name: masks[mask] for name, mask in found.items()} | left, way


def _own_suffixes(names: tuple[str, ...]) -> list[str]:
    """Nothing, and what all names end in from a separator on."""
    common = _common_end(names)
    starts = [match.start() for match in _SEPARATED.finditer(common)]
    whole = [start for start in starts if all(len(name) > len(common) - start for name in names)]
    return ["", *(common[start:] for start in whole)]


def _common_end(names: tuple[str, ...]) -> str:
    # what the first and the last in order share, all share
    first, last = (f(name[::-1] for name in names) for f in (min, max))
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return "".join(character for character, _ in same)[::-1]


def _affixes(name: str, own: str, masks: Iterable[str]) -> Iterator[tuple[str, str]]:
    """What stands before and after `name` (without its `own` suffix) in names of masks."""
    stem = name.removesuffix(own)
    for mask in masks:
        for match in re.finditer(re.escape(stem), mask):
            yield mask[: match.start()], mask[match.end() :]


def _naming(prefix: str, suffix: str, own: str) -> str:
    return f"masks named {prefix}{{name}}{suffix}" + (f" for images {{name}}{own}" if own else "")


def text_of(file: Path, remedy: str) -> str:
    """A text file's content: UTF-8, or what its byte order mark says.

    Raises:
        DataError: it cannot be read, or is in another encoding.
    """
    try:
        with open_plain(file) as opened:
            content = opened.read()
        encoding = next((code for bom, code in _BOMS.items() if content.startswith(bom)), "utf-8")
        text = content.decode(encoding)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}): {remedy}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: cannot be read as UTF-8 ({error.reason}): {remedy}") from error
    if "\0" in text:
        raise DataError(f"{file}: cannot be read as UTF-8 (it has zero bytes): {remedy}")
    return text


def listed(file: Path, images: Mapping[str, Path], root: Path) -> tuple[str, ...]:
    """The names in a split file, each of which must be an image's.

    A line is a name, with its ending or without, or a path to it; empty lines and those that begin
    with `#` (unless it is an image's name) say nothing.

    Raises:
        DataError: the file cannot be read, or a line names no image.
    """
    text = text_of(file, "write one image name a line as UTF-8 text, or mend `splits:`")
    known = KnownNames(images, root)
    names = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not (name := line.strip()):
            continue
        if (found := known.find(name)) is not None:
            names.append(found)
        elif not name.startswith("#"):
            raise DataError(
                f"{file}:{number}: there is no image {name!r}{known.hint(name)}: mend the line"
            )
    return tuple(names)


class KnownNames:
    """Finds an image by what people write: name, file name, or path."""

    def __init__(self, images: Mapping[str, Path], root: Path) -> None:
        self._images, self._root = images, root
        self._files = {normal(file.as_posix()): name for name, file in images.items()}
        self._by_last: dict[str, list[str]] = {}
        for path in self._files:
            self._by_last.setdefault(path.rpartition("/")[2], []).append(path)

    def find(self, text: str) -> str | None:
        """The image's name in the data set; None: there is none."""
        text = normal(text)
        if text in self._images:
            return text
        path = text.replace("\\", "/").removeprefix("./")
        for whole in (path, (self._root / path).as_posix()):
            if (found := self._files.get(normal(whole))) is not None:
                return found
        stem, dot, ending = path.rpartition(".")
        if f"{dot}{ending}".lower() in ENDINGS and stem in self._images:
            return stem
        # `somewhere/images/cat.jpg`: its last parts, two at least, are those of one image
        alike = self._by_last.get(path.rpartition("/")[2], ())
        shared = {whole: _common_parts(whole, path) for whole in alike}
        best = [whole for whole in shared if shared[whole] == max(shared.values()) >= 2]
        return self._files[best[0]] if len(best) == 1 else None

    def hint(self, text: str) -> str:
        """` (did you mean 'cat'?)`, where there is a name like it."""
        close = difflib.get_close_matches(normal(text), self._images, n=1)
        return f" (did you mean {close[0]!r}?)" if close else ""


def _common_parts(one: str, other: str) -> int:
    """How many parts at the end two paths share."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def column(
    file: Path, name_column: str, column: str, images: Mapping[str, Path], root: Path
) -> dict[str, str]:
    """What a CSV file says in `column` of the images that `name_column` names.

    Raises:
        DataError: a column is not there, or an image stands there twice with different values.
    """
    text = text_of(file, "save it as CSV in UTF-8, or mend `groups:`")
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    columns = [name.strip() for name in reader.fieldnames or ()]
    for wanted in (name_column, column):
        if wanted not in columns:
            raise DataError(
                f"{file}: has no column {wanted!r} (it has {', '.join(columns) or 'none'}): mend "
                "`groups:`"
            )
    known = KnownNames(images, root)
    found: dict[str, str] = {}
    for row in reader:
        values = {key.strip(): (value or "").strip() for key, value in row.items() if key}
        name = known.find(values[name_column])
        if name is None:
            continue
        if found.setdefault(name, values[column]) != values[column]:
            raise DataError(
                f"{file}:{reader.line_num}: {name!r} is of {values[column]!r} here, of "
                f"{found[name]!r} before: list it once"
            )
    return found
