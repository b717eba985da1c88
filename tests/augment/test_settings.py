import json
import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from bench.augment.settings import (
    AUGMENTATIONS,
    AugmentSettings,
    CustomTransform,
    OneOfSettings,
)
from bench.augment.transform_settings import (
    CropSettings,
    ElasticSettings,
    HorizontalFlipSettings,
)

EVERYTHING = [
    "hflip",
    {"elastic": {"p": 0.2}},
    {"one_of": [{"elastic": {"p": 0.2}}, {"crop": {"p": 0.2, "scale": [0.5, 1]}}]},
    {"one_of": {"p": 0.5, "of": ["rotate", {"one_of": {"p": 0.4, "of": ["vflip"]}}]}},
    {"name": "elastic", "p": 0.2},
    {"target": "my.module:Name", "p": 0.1, "strength": [1, 2]},
]


def parse(value: Any) -> AugmentSettings:
    return AugmentSettings.model_validate(value)


def test_all_spellings_are_read_in_order():
    found = parse(EVERYTHING).transforms
    assert found[:2] == (HorizontalFlipSettings(p=0.5), ElasticSettings(p=0.2))
    assert found[2] == OneOfSettings(of=(ElasticSettings(p=0.2), CropSettings(p=0.2)))
    assert found[3].p == 0.5
    assert found[3].of[1].of[0].name == "vflip"
    assert found[4] == found[1]
    assert found[5] == CustomTransform(target="my.module:Name", p=0.1, strength=[1, 2])


@pytest.mark.parametrize(
    "same",
    [
        ["hflip", {"hflip": {}}, {"hflip": None}, {"name": "hflip"}, {"hflip": {"p": 0.5}}],
        [{"one_of": ["hflip"]}, {"one_of": {"of": ["hflip"]}}, {"name": "one_of", "of": ["hflip"]}],
        [{"crop": {"p": 1}}, {"crop": {"p": 1.0, "scale": (0.5, 1)}}],
    ],
)
def test_equal_spellings_have_one_identity(same: list[Any]):
    identities = [json.dumps(parse([spelling]).identity(), sort_keys=True) for spelling in same]
    assert len(set(identities)) == 1


def test_order_and_settings_enter_the_identity():
    different = [["hflip", "vflip"], ["vflip", "hflip"], ["hflip"], [], [{"hflip": {"p": 0.4}}]]
    identities = {json.dumps(parse(value).identity(), sort_keys=True) for value in different}
    assert len(identities) == len(different)


@pytest.mark.parametrize("value", [EVERYTHING, [], {"transforms": ["vflip"], "mode": "append"}])
def test_settings_survive_being_written_and_read(value: Any):
    settings = parse(value)
    assert parse(json.loads(json.dumps(settings.model_dump(mode="json")))) == settings
    assert parse(settings) == settings


@pytest.mark.parametrize(
    ("value", "where", "what"),
    [
        (["elastik"], (0,), "unknown augmentation 'elastik' (did you mean 'elastic'?)"),
        (["hflip", {"crpo": {"p": 1}}], (1,), "unknown augmentation 'crpo' (did you mean 'crop'?)"),
        ([{"name": "h-flip"}], (0,), "unknown augmentation 'h-flip' (did you mean 'hflip'?)"),
        ([{"elastic": {"alfa": 3}}], (0, "elastic", "alfa"), "not permitted"),
        ([{"name": "elastic", "alfa": 3}], (0, "elastic", "alfa"), "not permitted"),
        ([{"elastic": {"p": "often"}}], (0, "elastic", "p"), "valid number"),
        ([{"elastic": {"p": 1.5}}], (0, "elastic", "p"), "less than or equal to 1"),
        ([{"elastic": {"sigma": 0.1}}], (0, "elastic", "sigma"), "greater than or equal to 1"),
        ([{"scale": {"factor": [0, 1]}}], (0, "scale", "factor"), "0 < low ≤ high"),
        ([{"noise": {"std": [5, 2]}}], (0, "noise", "std"), "0 ≤ low ≤ high ≤ 255"),
        ([{"gamma": {"exponent": 2}}], (0, "gamma", "exponent"), "valid tuple"),
        ([{"shear": {"degrees": 45}}], (0, "shear", "degrees"), "less than 45"),
        ([{"crop": {"scale": [0.9, 0.5]}}], (0, "crop", "scale"), "low ≤ high"),
        (
            [{"one_of": ["vflip", {"crop": {"scale": [2, 3]}}]}],
            (0, "one_of", "of", 1, "crop", "scale"),
            "low ≤ high",
        ),
        ([{"one_of": ["hflip", {"crop": {"p": 0.6}}]}], (0, "one_of"), "add up to 1.1"),
        ([{"one_of": []}], (0, "one_of", "of"), "at least 1"),
        ([{"one_of": {"p": 0.1}}], (0, "one_of", "of"), "required"),
        ([{"elastic": {}, "p": 0.3}], (0,), "expected one augmentation"),
        ([{"hflip": 0.3}], (0,), "expected the settings of hflip"),
        ([["hflip"]], (0,), "expected the name of an augmentation"),
        ([{"target": "nowhere"}], (0, "target", "target"), "match pattern"),
        ([{"target": "a:b", "p": -1}], (0, "target", "p"), "greater than or equal to 0"),
    ],
)
def test_errors_say_where_and_what(value: Any, where: tuple[Any, ...], what: str):
    with pytest.raises(ValidationError) as caught:
        parse(value)
    (error,) = caught.value.errors()
    assert error["loc"] == ("transforms", *where)
    assert what in error["msg"]


def test_json_schema_knows_the_short_spellings():
    schema = AugmentSettings.model_json_schema()
    as_object, as_list, as_word, as_pipeline = schema["anyOf"]
    assert as_word["enum"] == ["none", "light", "medium", "heavy"]
    assert as_object["properties"]["transforms"] == as_list
    assert as_pipeline["required"] == ["target"]
    assert as_pipeline["properties"]["target"]["pattern"]
    name, short, *full = as_list["items"]["anyOf"]
    assert name["enum"] == sorted({*AUGMENTATIONS.names()} - {"one_of"})
    assert short["properties"]["elastic"]["anyOf"][0] == {"$ref": "#/$defs/ElasticSettings"}
    assert short["additionalProperties"] is False
    assert full[-1] == {"$ref": "#/$defs/CustomTransform"}
    one_of = schema["$defs"]["OneOfSettings"]["anyOf"]
    assert one_of[0]["properties"]["of"] == one_of[1], "one_of takes a bare list too"


def test_settings_are_read_without_torch():
    code = "import sys, bench.augment.settings; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_target_in_place_of_the_list_is_a_pipeline():
    short = parse({"target": "my.module:make", "mode": "hard", "transforms": [{"target": "a:B"}]})
    long = parse({"pipeline": {"target": "my.module:make", "mode": "hard",
                               "transforms": [{"target": "a:B"}]}})  # fmt: skip
    assert short == long
    assert short.transforms == ()
    assert short.mode == "replace"
    assert short.pipeline.model_extra == {"mode": "hard", "transforms": [{"target": "a:B"}]}
    both = parse({"pipeline": {"target": "m:f"}, "transforms": ["hflip"], "mode": "append"})
    assert both.transforms == (HorizontalFlipSettings(),)


def test_a_pipeline_enters_the_identity_and_none_leaves_it_as_it_was():
    assert set(parse(["hflip"]).identity()) == {"transforms", "mode", "interpolation"}
    found = parse({"target": "m:f", "p": 0.5}).identity()
    assert found["pipeline"] == {"target": "m:f", "p": 0.5}
    assert parse(found) == parse({"target": "m:f", "p": 0.5}), "as it is read from a record"


@pytest.mark.parametrize(
    "value",
    [
        {"target": "no colon"},
        {"target": 3},
        {"target": "m:f", "transforms": [{"target": "flip"}]},
    ],
)
def test_targets_are_modules_and_names(value: Any):
    with pytest.raises(ValidationError, match="target"):
        parse(value)


@pytest.mark.parametrize(
    "value",
    [
        {"rand_augment": {"magnitude": 31}},
        {"rand_augment": {"ops": 0}},
        {"trivial_augment": {"interpolation": "cubic"}},
        {"mixup": {"alpha": 0}},
        {"cutmix": {"p": 2}},
        {"jpeg": {"quality": [0, 50]}},
        {"jpeg": {"quality": [80, 50]}},
    ],
)
def test_settings_of_the_newer_transforms_are_checked(value: dict[str, Any]):
    with pytest.raises(ValidationError):
        parse([value])
