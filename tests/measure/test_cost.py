from __future__ import annotations

import logging
import sys
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import SpecError
from bench.measure.cost import Cost, model_cost


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(),
        nn.Conv2d(4, 2, 1),
    )


class Refuses(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 1)
        self.error = error

    def forward(self, x: Tensor) -> Tensor:
        self.layer(x)
        raise self.error


def test_counts_by_hand() -> None:
    model = small()
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    params = (3 * 4 * 9 + 4) + (4 + 4) + (4 * 2 + 2)
    # Convolutions: outputs × inputs of each. BatchNorm in evaluation: one a value for each of
    # scale and shift. ReLU and dropout: not counted.
    macs = (8 * 6 * 4) * (3 * 9) + 2 * (8 * 6 * 4) + (8 * 6 * 2) * 4
    assert model_cost(model, (1, 3, 8, 6)) == Cost(params, params - 112, macs)


def test_macs_grow_with_the_batch() -> None:
    one, two = (model_cost(small(), (count, 3, 8, 8)).macs for count in (1, 2))
    assert one is not None
    assert two == 2 * one


def test_leaves_the_model_and_the_random_numbers_alone() -> None:
    model = small().train()
    model[1].eval()  # frozen
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(7)
    state = torch.get_rng_state()
    model_cost(model, (1, 3, 8, 8))
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model] == [True, False, True, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_model_that_cannot_be_traced_has_no_macs_but_parameters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = Refuses(RuntimeError("no such thing"))
    assert model_cost(model, (1, 3, 8, 8)) == Cost(4, 4, None)
    assert "MACs of Refuses cannot be counted: no such thing" in caplog.text
    assert not any(module._forward_hooks for module in model.modules())


def test_a_models_own_refusal_is_passed_on() -> None:
    with pytest.raises(SpecError, match="too small"):
        model_cost(Refuses(SpecError("too small")), (1, 3, 8, 8))


def test_a_meta_model_has_parameters_only() -> None:
    with torch.device("meta"):
        model = small()
    assert model_cost(model, (1, 3, 8, 8)) == Cost(130, 130, None)


class Attends(nn.Module):
    """Fused attention of 2 heads: 5 queries of 3 features, 7 keys, values of 4 features."""

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = (x.new_zeros(len(x), 2, *s) for s in ((5, 3), (7, 3), (7, 4)))
        return F.scaled_dot_product_attention(queries, keys, values)


def test_fused_attention_counts_both_products() -> None:
    # Each of 2 × 2 heads: 5 × 7 weights of 3 multiply-adds each, and 5 × 4 sums of 7.
    assert model_cost(Attends(), (2, 3, 8, 8)).macs == 2 * 2 * (5 * 7 * 3 + 5 * 4 * 7)


@pytest.mark.parametrize("need_weights", [False, True])
def test_torchs_attention_layer_counts_its_linear_maps_too(need_weights: bool) -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2).transpose(1, 2)
            found: Tensor = self.attention(tokens, tokens, tokens, need_weights=need_weights)[0]
            return found

    torch.backends.mha.set_fastpath_enabled(True)  # as it is by default
    # 6 tokens of 8 features: four linear maps of 8 × 8, and two products of 6 × 6 × 8.
    assert model_cost(Layer(), (1, 8, 2, 3)).macs == 6 * 4 * 64 + 2 * 6 * 6 * 8
    assert torch.backends.mha.get_fastpath_enabled()


class Timed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Conv2d(3, 4, 1)
        self.time = nn.Linear(1, 4)

    def forward(self, images: Tensor, time: Tensor) -> Tensor:
        assert time.dtype == torch.int64
        shift = self.time(time.to(images.dtype)[:, None])
        found: Tensor = self.image(images) + shift[:, :, None, None]
        return found


def test_models_that_take_a_time_step() -> None:
    model = Timed().double()
    assert model_cost(model, (2, 3, 8, 8), takes_time=True).macs == 2 * (64 * 3 * 4 + 4)
    assert model_cost(model, (2, 3, 8, 8)).macs is None


def test_fvcore_is_quiet(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name in [name for name in sys.modules if name.startswith("fvcore")]:
        monkeypatch.delitem(sys.modules, name)  # it warns when it is imported
    with warnings.catch_warnings(record=True) as caught, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        assert model_cost(small(), (1, 3, 8, 8)).macs
    assert [str(warning.message) for warning in caught] == []
    assert caplog.text == ""


def test_other_warnings_are_heard() -> None:
    class Warns(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            warnings.warn("listen", stacklevel=1)
            return super().forward(input)

    with pytest.warns(UserWarning, match="listen"):
        model_cost(Warns(3, 1, 1), (1, 3, 8, 8))
