"""Data sets of the `datasets` library: written once as files, then read like others."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.data.assemble import Names
from bench.data.cache import cache_root
from bench.data.folder_settings import HuggingFace, HuggingFaceLabels, HuggingFaceMasks
from bench.data.found_files import FoundFiles
from bench.data.locks import alone
from bench.data.pages import one_line
from bench.data.plain import open_plain
from bench.errors import DataError, describe_exception, did_you_mean

_TIME = 1_000_000_000_000_000_000  # ns; the same whenever files are written, as caches look at it
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"BM": ".bmp"}


def exported_files(setting: HuggingFace) -> tuple[FoundFiles, Path]:
    """The images, with masks or labels as the setting says, as files; and the folder they are in.

    They are written into a folder of the cache that is named by the data set's fingerprint.

    Raises:
        DataError: `datasets` is not installed, or the data set, a split or a column is not there.
    """
    splits: dict[str, Any] = {k: _loaded(setting, name) for k, name in setting.split.items()}
    if "train" not in splits:
        raise DataError("data.huggingface: split: names no training split: add `train:`")
    described = [setting.identity(), {k: str(_fingerprint(v)) for k, v in splits.items()}]
    digest = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:24]
    folder = cache_root() / f"files-{digest}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.with_suffix(".lock")):
        if not (folder / "index.json").is_file():
            _export(folder, setting, splits)
    return _found(folder, setting), folder


def _loaded(setting: HuggingFace, split: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            "data.huggingface: needs the library `datasets`, which is not installed: "
            "pip install 'bench[huggingface]'"
        ) from error
    path = Path(setting.name).expanduser()
    try:
        if path.is_dir() and ((path / "dataset_dict.json").is_file() or _is_saved(path)):
            found = datasets.load_from_disk(str(path))
            if isinstance(found, datasets.DatasetDict):
                if split not in found:
                    hint = did_you_mean(split, found)
                    raise DataError(
                        f"data.huggingface: {setting.name} has no split {split!r}{hint}: mend "
                        "`split:`"
                    )
                found = found[split]
        else:
            found = datasets.load_dataset(setting.name, setting.config, split=split)
    except DataError:
        raise
    except Exception as error:  # the library raises nearly anything
        raise DataError(
            f"data.huggingface: {setting.name} cannot be loaded ({describe_exception(error)}): "
            "mend `name:`, `config:` and `split:`, or download it first"
        ) from error
    return _with_columns(found, setting, datasets)


def _is_saved(path: Path) -> bool:
    return (path / "dataset_info.json").is_file() and (path / "state.json").is_file()


def _with_columns(data: Any, setting: HuggingFace, datasets: Any) -> Any:
    """The data set with its images as bytes, not decoded."""
    for column in _image_columns(setting):
        _check_column(data, column, setting)
        if not isinstance(data.features[column], datasets.Image):
            raise DataError(
                f"data.huggingface: {setting.name}: the column {column!r} is no column of images"
            )
        data = data.cast_column(column, datasets.Image(decode=False))
    if isinstance(setting, HuggingFaceLabels):
        _check_column(data, setting.label, setting)
    return data


def _check_column(data: Any, column: str, setting: HuggingFace) -> None:
    if column not in data.features:
        raise DataError(
            f"data.huggingface: {setting.name} has no column {column!r}"
            f"{did_you_mean(column, data.features)} (it has {', '.join(data.features)})"
        )


def _image_columns(setting: HuggingFace) -> list[str]:
    mask = setting.mask if isinstance(setting, HuggingFaceMasks) else None
    return [setting.image] if mask is None else [setting.image, mask]


def _fingerprint(data: Any) -> Any:
    return data._fingerprint  # noqa: SLF001 - there is no public one


def _export(folder: Path, setting: HuggingFace, splits: dict[str, Any]) -> None:
    """Write the files, and last the list of them, next to the folder; then rename it."""
    part = folder.with_suffix(f".part{uuid.uuid4().hex}")
    try:
        index = {split: list(_rows(part, split, setting, data)) for split, data in splits.items()}
        (part / "index.json").write_text(json.dumps(index), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _rows(part: Path, split: str, setting: HuggingFace, data: Any) -> Iterator[dict[str, str]]:
    names = getattr(data.features.get(getattr(setting, "label", "")), "names", None)
    for number, row in enumerate(data):
        stem = f"{split}/{number:06}"
        found = {"name": stem}
        for what, column in zip(("image", "mask"), _image_columns(setting), strict=False):
            found[what] = _write(part, f"{what}s/{stem}", row[column], setting)
        if isinstance(setting, HuggingFaceLabels):
            value = row[setting.label]
            found["label"] = names[value] if names and isinstance(value, int) else str(value)
        yield found


def _write(part: Path, stem: str, image: Any, setting: HuggingFace) -> str:
    """Write an image's bytes; the file's path in the folder."""
    content: bytes | None = (image or {}).get("bytes")
    if content is None and (image or {}).get("path"):
        with open_plain(Path(image["path"])) as opened:
            content = opened.read()
    if content is None:
        raise DataError(f"data.huggingface: {setting.name}: {one_line(stem)} has no image")
    ending = next((e for start, e in _SUFFIXES.items() if content.startswith(start)), ".tif")
    file = part / f"{stem}{ending}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, ns=(_TIME, _TIME))
    return file.relative_to(part).as_posix()


def _found(folder: Path, setting: HuggingFace) -> FoundFiles:
    index: dict[str, list[dict[str, str]]] = {}
    with suppress(OSError, ValueError):
        index = json.loads((folder / "index.json").read_text("utf-8"))
    rows = [row for members in index.values() for row in members]
    if not rows:
        raise DataError(f"data.huggingface: {setting.name} has no samples")
    splits: dict[str, Names] = {
        split: tuple(row["name"] for row in members) for split, members in index.items() if members
    }
    return FoundFiles(
        {row["name"]: folder / row["image"] for row in rows},
        {row["name"]: folder / row["mask"] for row in rows if "mask" in row},
        splits,
        labels={row["name"]: (row["label"],) for row in rows if "label" in row},
    )
