"""Every registered model, in every task that it serves and with every option, does what it must.

A new model needs its cases here, and its published counts in `test_counts.py`.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.models.settings import MODELS
from tests.models.conformance import CHECKS, Conformance


def cases(name: str, *options: dict[str, Any], **common: Any) -> Iterator[Conformance]:
    """The model with each of these options, in each task that it serves.

    For several labels only with the first: it gives what classification gives.
    """
    for task in sorted(MODELS.entry(name).settings.supported_tasks):
        for chosen in options[:1] if task == "multi_label" else options:
            yield Conformance(name, task, options=chosen, **common)


UPSAMPLE = ({"upsample": "bilinear"}, {"upsample": "transposed"})
CASES = [
    *cases("unet", *UPSAMPLE, smallest=32),
    *cases("resnet34_unet", *UPSAMPLE, smallest=17),
    *cases("resnet18_unet", {}),
    *cases(
        "encoder_unet",
        {"encoder": "mobilenet_v3_small", "skip": "concatenate"},
        {"encoder": "mobilenet_v3_small", "skip": "add"},
        smallest=17,
        growth=1.0,  # the encoder has but one width
    ),
    *cases(
        "resnet",
        {},
        {"residual": False},
        {"norm": "none"},
        {"zero_init": True},
        {"depth": 50},
        {"depth": 50, "stride_in": "v1"},
        {"depth": 50, "residual": False, "stride_in": "v1"},
        encoder=("conv1.", "bn1.", "layer"),
    ),
    *cases("ddpm_unet", {"attention": True}, {"attention": False}, smallest=8),
    *cases("resnet50_linknet", *UPSAMPLE, smallest=8),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_conformance(case: Conformance, check: Callable[[Conformance], None]) -> None:
    check(case)


def test_every_model_has_cases() -> None:
    assert {case.name for case in CASES} == set(MODELS.names())


@pytest.mark.parametrize("name", MODELS.names())
def test_every_switch_is_in_a_case(name: str) -> None:
    for key, option in MODELS.entry(name).settings.model_fields.items():
        levels = set(typing.get_args(option.annotation))
        if option.annotation is bool:
            levels = {True, False}
        elif key == "name" or not all(isinstance(level, str) for level in levels):
            continue
        tried = {getattr(case.settings(), key) for case in CASES if case.name == name}
        assert levels <= tried, key
