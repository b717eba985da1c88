"""What a spec can say of masks: which pixel values or colours mean which class."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from bench.data.base_settings import OwnFilesSettings
from bench.data.palettes import PALETTES, ColourPalette
from bench.data.setting_types import (
    Alpha,
    ClassNames,
    Ignored,
    PaletteSetting,
    Values,
    number_of,
)
from bench.errors import did_you_mean
from bench.settings import added_later


class MaskSettings(OwnFilesSettings):
    """Common to data sets whose masks are files of the user's own."""

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
    palette: PaletteSetting = added_later(
        "auto",
        description="of palette masks, take the index or the (grey) colour; auto: the index, but "
        "where the palette goes from white to black, white is 1 and black 0. Of colour masks, the "
        "data set whose colours they have (voc, cityscapes, camvid), or each class's colour: "
        "{road: [128, 64, 128]}; classes of a palette that are not in `classes` are not scored",
    )

    @model_validator(mode="before")
    @classmethod
    def _classes_of_the_palette(cls, data: Any) -> Any:
        """The palette's classes where none are given."""
        if not isinstance(data, dict) or "classes" in data:
            return data
        palette = data.get("palette")
        if isinstance(palette, dict):
            return {**data, "classes": list(palette)}
        if isinstance(palette, str) and palette in PALETTES:
            return {**data, "classes": list(PALETTES[palette].classes)}
        return data

    @property
    def colours(self) -> ColourPalette | None:
        """The colours that `palette` gives to classes; None: to none."""
        return colour_palette(self.palette)

    @model_validator(mode="after")
    def _values_fit(self) -> MaskSettings:
        if self.colours is not None:
            self._check_palette(self.colours)
            return self
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

    def _check_palette(self, palette: ColourPalette) -> None:
        for key in ("values", "threshold"):
            if getattr(self, key) is not None:
                raise ValueError(f"palette: says what colours mean, so does `{key}:`; remove one")
        if self.alpha == "mask":
            raise ValueError("palette: says what colours mean, `alpha: mask` drops them")
        for name in self.classes:
            if name not in palette.classes:
                hint = did_you_mean(name, palette.classes)
                raise ValueError(f"classes: {name!r} has no colour in `palette:`{hint}")
        self._check_ignored(colours=True)
        scored = {palette.classes[name] for name in self.classes}
        if len(scored) < len(self.classes):
            raise ValueError("palette: two classes have the same colour")
        for ignored in self._ignored:
            if ignored in scored:
                raise ValueError(f"ignore: {ignored} is also the colour of a class")

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


def colour_palette(setting: PaletteSetting) -> ColourPalette | None:
    """The colours that `data.palette` gives to classes; None: to none."""
    if isinstance(setting, str):
        return PALETTES.get(setting)
    return ColourPalette(setting)
