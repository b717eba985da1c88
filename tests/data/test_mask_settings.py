"""What a spec may say of masks: what contradicts itself is refused before a file is read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bench.data.settings import FolderSettings


@pytest.mark.parametrize(
    ("ignore", "values", "message"),
    [
        (
            255,
            {"#000000": "a", "#ff0000": "b"},
            "ignore: 255 is no colour, as `values:` are: write one, like '#ffffff'",
        ),
        ([0x00FF00, 1], {"#000000": "a", "#ff0000": "b"}, "ignore: 1 is no colour"),
        (-1, {"#000000": "a", "#ff0000": "b"}, "ignore: -1 is no colour"),
        ("#ff0000", {"#000000": "a", "#ff0000": "b"}, "#ff0000 is also the pixel value of a class"),
        (0xFF0000, {"#000000": "a", "#ff0000": "b"}, "#ff0000 is also the pixel value of a class"),
        ("#ff0000", {0: "a", 1: "b"}, "ignore: '#ff0000' is a colour, but `values:` are numbers"),
        ("#ff0000", None, "is a colour, but `values:` are numbers"),
    ],
)
def test_ignored_values_are_of_the_same_kind_as_the_others(
    ignore: Any, values: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        FolderSettings.model_validate(
            {"root": "x", "classes": ["a", "b"], "values": values, "ignore": ignore}
        )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"values": {0: "background", 1: "forground"}}, "did you mean 'foreground'"),
        ({"values": {0: "background", "#ff0000": "foreground"}}, "either all numbers or all col"),
        ({"values": 7}, "must be a list of pixel values"),
        ({"values": {0: "background", 1: "foreground"}, "ignore": 1}, "1 is also the pixel value"),
        ({"threshold": 3, "values": [0, 1]}, "is instead of `values:`"),
        ({"threshold": 3, "classes": ["a", "b", "c"]}, "makes two classes, not 3"),
        ({"values": {"red": "foreground"}}, "values"),
        ({"ignore": "x"}, "ignore"),
        ({"page": 0}, "page"),
        ({"exif": "maybe"}, "exif"),
    ],
)
def test_settings_that_contradict_themselves(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        FolderSettings.model_validate({"root": ".", **fields})


def test_new_settings_change_no_id():
    plainly = FolderSettings.model_validate({"root": "."})
    assert not {"exif", "page", "window", "threshold", "alpha", "palette", "groups"} & set(
        plainly.identity()
    )
    changed = FolderSettings.model_validate(
        {"root": ".", "values": {1: "foreground", 0: "background"}}
    )
    assert changed.identity()["values"] == {"1": "foreground", "0": "background"}
    assert FolderSettings.model_validate(changed.model_dump(mode="json")) == changed
