from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from bench.models.settings import MODELS


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stride_in": "v1"}, "stride_in: v1 is for depth 50, 101 and 152"),
        ({"depth": 34, "stride_in": "v1"}, "the blocks of depth 34 have no first 1×1"),
        ({"zero_init": True, "norm": "none"}, "norm: none has none"),
        ({"zero_init": True, "residual": False}, "needs shortcuts"),
        ({"depth": 20}, "18, 34, 50, 101 or 152"),
    ],
)
def test_resnets_that_cannot_be_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as caught:
        MODELS.entry("resnet").settings(**options)
    assert caught.value.error_count() == 1


def test_stages_are_those_of_the_chosen_encoder() -> None:
    settings = MODELS.entry("encoder_unet").settings
    for encoder in ("resnet18", "swin_t"):
        assert settings(encoder=encoder).stages[0] == "stem"
    with pytest.raises(ValidationError, match=r"unknown encoder 'resnet19' \(did you mean 'resnet"):
        settings(encoder="resnet19")


def test_a_model_without_an_encoder_has_no_stages() -> None:
    assert MODELS.entry("unet").settings().stages == ()
    assert MODELS.entry("resnet50_linknet").settings().stages == ("stem", "layer1", "layer2")
