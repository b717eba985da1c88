"""Errors name what may stand there."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import SpecError
from bench.plan.expand import make_plan
from bench.spec.load import load_spec


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("depth: 20", "must be one of 18, 34, 50, 101, 152, not 20"),
        ("norm: bacth", "must be one of batch, none, not 'bacth' (did you mean 'batch'?)"),
    ],
)
def test_choices_are_listed(model: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        "experiment: e\ntask: classification\ndata: {name: oxford_pet}\n"
        f"model: {{name: resnet, {model}}}\n"
    )
    with pytest.raises(SpecError) as caught:
        make_plan(load_spec(path))
    assert message in str(caught.value)
