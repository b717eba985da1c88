"""What a spec can say of images of the user's own: how their files lie."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from bench.data.base_settings import DATASETS, OwnFilesSettings
from bench.data.mask_settings import MaskSettings
from bench.data.placeholders import STEM, describes_files, placeholders
from bench.data.setting_types import GROUPS, Groups, LabelNames, OneOrMore
from bench.settings import Settings, added_later, machine_local


class SplitFiles(Settings):
    """Text files under `root` that list images, one a line: names, file names or paths.

    A split without one is taken from the training images.
    """

    train: str = Field(description="the file that lists the training images")
    val: str | None = Field(None, description="that of the validation images")
    test: str | None = Field(None, description="that of the test images")


class Table(Settings):
    """A file under `root` with a line for each image: CSV, or JSON lines (.jsonl, .ndjson)."""

    file: str = Field(description="its path under `root`")
    image: str = Field("image", description="the column of paths to images, or their names")
    split: str | None = Field(None, description="the column that says train, val or test")
    group: str | None = Field(
        None, description="the column of groups: images of one group stay in one split"
    )


class MaskTable(Table):
    """A table of images and masks."""

    mask: str = Field("mask", description="the column of paths to masks")


class LabelTable(Table):
    """A table of images and labels."""

    label: OneOrMore = Field(
        "label",
        description="the column of labels; or several columns of 0 and 1, one for each of "
        "`classes`, whose labels an image then has",
    )
    separator: str | None = Field(
        None, min_length=1, description="between the labels of one image, which may have several"
    )
    empty: Literal["missing", "zero"] = added_later(
        "missing",
        description="an empty cell in columns of 0 and 1. missing: it is not known whether the "
        "image has the label; zero: it has not",
    )
    images: str = Field(
        ".", description="the folder under `root` that the paths in the table start from"
    )

    @property
    def several_labels(self) -> bool:
        """Whether an image can have more labels than one, or none."""
        return self.separator is not None or not isinstance(self.label, str)


class HuggingFace(Settings):
    """A data set of the `datasets` library (`pip install bench[huggingface]`)."""

    name: str = Field(description="its name, owner/name, or a folder that save_to_disk has made")
    config: str | None = Field(None, description="which of its configurations")
    split: dict[Literal["train", "val", "test"], str] = Field(
        {"train": "train"},
        description="its splits by ours; one that is not given is taken from the training images",
    )
    image: str = Field("image", description="the column of images")


class HuggingFaceMasks(HuggingFace):
    """One with masks."""

    mask: str | None = Field("mask", description="the column of masks; null: none are needed")


class HuggingFaceLabels(HuggingFace):
    """One with labels."""

    label: str = Field("label", description="the column of labels")


_SOURCES = ("table", "annotations", "huggingface")


def _with_root(data: Any) -> Any:
    """A data set that the `datasets` library keeps needs no root."""
    if isinstance(data, dict) and data.get("huggingface") and "root" not in data:
        return {**data, "root": ""}
    return data


def with_group_spelled(values: Any) -> Any:
    """Settings in which `group:` is written for `groups:`.

    Raises:
        ValueError: both are.
    """
    if not isinstance(values, dict) or "group" not in values:
        return values
    if values.get("groups") is not None:
        raise ValueError("group: is another spelling of `groups:`; remove one of them")
    kept = {key: item for key, item in values.items() if key not in ("group", "groups")}
    return kept | {"groups": values["group"]}


def _describe_group(schema: dict[str, Any]) -> None:
    """Tell editors of that spelling."""
    properties = schema["properties"]
    properties["group"] = properties["groups"] | {"description": "another spelling of `groups`"}


_EDITORS = ConfigDict(json_schema_extra=_describe_group)


@DATASETS.register("bench.data.folder:Folder")
class FolderSettings(MaskSettings):
    """Images and their masks, in folders, or as patterns, a table or annotations describe."""

    model_config = _EDITORS

    name: Literal["folder"] = "folder"
    root: str = machine_local(..., description="the folder that holds the data")
    images: OneOrMore = Field(
        "images",
        description="the folder of images, or a pattern, 'scans/{split}/{stem}_img.*'; {split} is "
        "train, val or test; several in a list",
    )
    masks: OneOrMore | None = Field(
        "masks",
        description="the folder of masks, or a pattern with the same placeholders, "
        "'masks/{stem}_mask.gif'; as many as `images`; null: there are none",
    )
    merge_masks: bool = added_later(
        False,
        description="an image may have several masks that the pattern in `masks:` describes, one "
        "for each object: a pixel has the greatest of their values",
    )
    table: MaskTable | None = added_later(
        None, description="a CSV or JSON-lines file that lists images and masks"
    )
    annotations: str | None = added_later(
        None,
        description="COCO annotations (.json) instead of masks, with {split} one for each split: "
        "annotations/instances_{split}2017.json",
    )
    huggingface: HuggingFaceMasks | None = added_later(
        None, description="a data set of the `datasets` library instead of files under `root`"
    )
    splits: SplitFiles | None = Field(None, description="files that list images by split")
    groups: Groups | None = added_later(None, description=GROUPS)

    @model_validator(mode="before")
    @classmethod
    def _root_is_given(cls, data: Any) -> Any:
        return _with_root(data)

    _group = model_validator(mode="before")(with_group_spelled)

    @model_validator(mode="after")
    def _layout_fits(self) -> FolderSettings:
        _check_one_source(self)
        images, masks = as_tuple(self.images), as_tuple(self.masks)
        for key, texts in (("images", images), ("masks", masks)):
            for text in texts:
                try:
                    placeholders(text)
                except ValueError as error:
                    raise ValueError(f"{key}: {error}") from error
        _check_channels(self, images)
        if self.masks is None or any(getattr(self, key) for key in _SOURCES):
            return self
        if len(images) != len(masks):
            raise ValueError(
                f"masks: {len(masks)} for {len(images)} `images:`; give one for each, in order"
            )
        for image, mask in zip(images, masks, strict=True):
            known = {*placeholders(image), *(() if describes_files(image) else (STEM,))}
            if unknown := sorted(set(placeholders(mask)) - known):
                raise ValueError(f"masks: {{{unknown[0]}}} is not in images: {image!r}")
        return self

    def class_names(self) -> tuple[str, ...]:
        """As given; none without masks."""
        has_masks = self.masks is not None or self.annotations is not None
        if self.huggingface is not None:
            has_masks = self.huggingface.mask is not None
        return self.classes if has_masks else ()


@DATASETS.register("bench.data.class_folder:ClassFolder")
class ClassFolderSettings(OwnFilesSettings):
    """Images in a folder per class: `root/cat/1.jpg`, or `root/train/cat/1.jpg`; or a table."""

    model_config = _EDITORS

    name: Literal["class_folder"] = "class_folder"
    root: str = machine_local(..., description="the folder that holds the data")
    classes: LabelNames = Field(
        min_length=2, description="the folders' names, which are the classes' too"
    )
    images: str | None = added_later(
        None,
        description="a pattern of the images' paths instead of a folder per class: "
        "'{split}/{class}/{stem}.jpg'",
    )
    table: LabelTable | None = added_later(
        None, description="a CSV or JSON-lines file that lists images and labels"
    )
    huggingface: HuggingFaceLabels | None = added_later(
        None, description="a data set of the `datasets` library instead of files under `root`"
    )
    splits: SplitFiles | None = Field(
        None, description="files that list images as class/name, with their ending or without"
    )
    groups: Groups | None = added_later(None, description=GROUPS)

    @model_validator(mode="before")
    @classmethod
    def _root_is_given(cls, data: Any) -> Any:
        return _with_root(data)

    @model_validator(mode="after")
    def _layout_fits(self) -> ClassFolderSettings:
        _check_one_source(self)
        _check_channels(self, as_tuple(self.images))
        if self.images is not None:
            try:
                known = placeholders(self.images)
            except ValueError as error:
                raise ValueError(f"images: {error}") from error
            if "class" not in known:
                raise ValueError(f"images: {self.images!r} does not say where {{class}} is")
        columns = self.classes if self.table is None else self.table.label
        if isinstance(columns, tuple) and columns != self.classes:
            raise ValueError("table: columns of `label:` must be those of `classes:`, in order")
        return self

    @property
    def several_labels(self) -> bool:
        """Whether an image can have more labels than one, or none."""
        return self.table is not None and self.table.several_labels

    _group = model_validator(mode="before")(with_group_spelled)

    def class_names(self) -> tuple[str, ...]:
        """None: there are no masks."""
        return ()

    def label_names(self) -> tuple[str, ...]:
        """As given."""
        return self.classes


def as_tuple(paths: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """A setting of one path or several as several."""
    return () if paths is None else (paths,) if isinstance(paths, str) else paths


def _check_channels(settings: Any, images: tuple[str, ...]) -> None:
    named = bool(settings.channels) and isinstance(settings.channels[0], str)
    for text in images:
        if named != ("channel" in placeholders(text)):
            raise ValueError(
                f"channels: names need {{channel}} in images: {text!r}, and it needs them"
            )


def _check_one_source(settings: Any) -> None:
    given = [key for key in _SOURCES if getattr(settings, key, None) is not None]
    if len(given) > 1:
        raise ValueError(f"{given[1]}: and {given[0]}: both say where the samples are; remove one")
    if given and given[0] != "annotations" and settings.splits is not None:
        raise ValueError(f"splits: cannot be used with `{given[0]}:`; it has a key for them")
