"""What a spec can say of images of the user's own, in folders."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from bench.data.base_settings import DATASETS, FilesSettings
from bench.data.setting_types import (
    GROUPS,
    Alpha,
    ClassNames,
    Groups,
    Ignored,
    LabelNames,
    Palette,
    Values,
    number_of,
)
from bench.errors import did_you_mean
from bench.settings import Settings, added_later, machine_local


class SplitFiles(Settings):
    """Text files under `root` that list images, one a line: names, file names or paths."""

    train: str
    val: str
    test: str


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


@DATASETS.register("bench.data.folder:Folder")
class FolderSettings(FilesSettings):
    """Any pair of folders with images and masks of the same names."""

    name: Literal["folder"] = "folder"
    root: str = machine_local(...)
    images: str = "images"
    masks: str = "masks"
    classes: ClassNames = ("background", "foreground")
    values: Values | None = Field(
        None,
        description="what a mask's pixel values mean: the value of each class, in order (default "
        "0…K-1), or a mapping of values to classes ({1: pet, 3: pet}), also of colours "
        "({'#ff0000': pet})",
    )
    ignore: Ignored | None = Field(
        None, description="pixel values (one, or a list) that are not scored; of colours '#e0e0c0'"
    )
    threshold: float | None = added_later(
        None,
        description="instead of `values`, for two classes: pixels from this value on are the "
        "second class, those below the first (soft edges, JPEG, probabilities)",
    )
    alpha: Alpha = added_later(
        "drop", description="mask: the masks are in the alpha channel of their files"
    )
    palette: Palette = added_later(
        "auto",
        description="of palette masks, take the index or the (grey) colour; auto: the index, but "
        "where the palette goes from white to black, white is 1 and black 0",
    )
    splits: SplitFiles | None = None
    groups: Groups | None = added_later(None, description=GROUPS)

    _group = model_validator(mode="before")(with_group_spelled)

    @model_validator(mode="after")
    def _values_fit(self) -> FolderSettings:
        if self.threshold is not None:
            self._check_threshold()
            return self
        if isinstance(self.values, dict):
            self._check_mapping(self.values)
            return self
        self._check_ignored()
        values = tuple(range(len(self.classes))) if self.values is None else self.values
        if len(values) != len(self.classes):
            raise ValueError(f"values: {len(values)} values for {len(self.classes)} classes")
        if len(set(values)) < len(values):
            raise ValueError("values: two classes have the same pixel value")
        for ignored in self._ignored:
            if ignored in values:
                raise ValueError(f"ignore: {ignored} is also the pixel value of a class")
        return self

    @property
    def _ignored(self) -> tuple[int | str, ...]:
        return (self.ignore,) if isinstance(self.ignore, int | str) else self.ignore or ()

    def _check_ignored(self, *, colours: bool = False) -> None:
        for value in self._ignored:
            if isinstance(value, str) and not colours:
                raise ValueError(f"ignore: {value!r} is a colour, but `values:` are numbers")
            if colours and isinstance(value, int) and value < 256:
                meant = f"#{value * 0x10101:06x}" if value >= 0 else "#e0e0c0"
                raise ValueError(
                    f"ignore: {value} is no colour, as `values:` are: write one, like '{meant}'"
                )

    def _check_threshold(self) -> None:
        self._check_ignored()
        if self.values is not None:
            raise ValueError("threshold: is instead of `values:`; remove one of them")
        if len(self.classes) != 2:
            raise ValueError(f"threshold: makes two classes, not {len(self.classes)}")

    def _check_mapping(self, values: dict[int | str, str]) -> None:
        if len({type(value) for value in values}) > 1:
            raise ValueError("values: are either all numbers or all colours like '#ff0000'")
        self._check_ignored(colours=any(isinstance(value, str) for value in values))
        for value, name in values.items():
            if name not in self.classes:
                raise ValueError(
                    f"values: {value} is of no class of `classes:`: {name!r}"
                    + did_you_mean(name, self.classes)
                )
            if number_of(value) in map(number_of, self._ignored):
                raise ValueError(f"ignore: {value} is also the pixel value of a class")

    def class_names(self) -> tuple[str, ...]:
        """As given."""
        return self.classes


@DATASETS.register("bench.data.class_folder:ClassFolder")
class ClassFolderSettings(FilesSettings):
    """Images in a folder per class: `root/cat/1.jpg`, or `root/train/cat/1.jpg` and so on."""

    name: Literal["class_folder"] = "class_folder"
    root: str = machine_local(...)
    classes: LabelNames = Field(
        min_length=2, description="the folders' names, which are the classes' too"
    )
    splits: SplitFiles | None = Field(
        None, description="files that list images as class/name, with their ending or without"
    )
    groups: Groups | None = added_later(None, description=GROUPS)

    _group = model_validator(mode="before")(with_group_spelled)

    def class_names(self) -> tuple[str, ...]:
        """None: there are no masks."""
        return ()

    def label_names(self) -> tuple[str, ...]:
        """As given."""
        return self.classes
