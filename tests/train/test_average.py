"""The moving average of a model's weights."""

from __future__ import annotations

import torch
from torch import nn

from bench.train.average import WeightAverage


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))


def set_to(model: nn.Module, value: float, count: int) -> None:
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(value if tensor.is_floating_point() else count)


def test_the_first_update_copies_and_the_others_move_by_one_minus_decay():
    model = network()
    average = WeightAverage(model, 0.75)
    for value, count, expected in ((8.0, 1, 8.0), (4.0, 2, 7.0), (3.0, 3, 6.0)):
        set_to(model, value, count)
        average.update()
        for name, tensor in average.module.state_dict().items():
            wanted = expected if tensor.is_floating_point() else count
            assert torch.equal(tensor, torch.full_like(tensor, wanted)), name
    assert average.steps == 3


def test_it_goes_on_from_its_state():
    model = network()
    one, other = WeightAverage(model, 0.9), WeightAverage(model, 0.9)
    for value in (1.0, 5.0):
        set_to(model, value, 0)
        one.update()
    other.load_state_dict(one.state_dict())
    set_to(model, -2.0, 0)
    for average in (one, other):
        average.update()
    states = one.module.state_dict(), other.module.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not any(parameter.requires_grad for parameter in other.module.parameters())


def test_it_shares_nothing_with_the_model():
    model = network()
    average = WeightAverage(model, 0.5)
    average.update()
    before = {name: tensor.clone() for name, tensor in average.module.state_dict().items()}
    set_to(model, 9.0, 9)
    after = average.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_buffer_that_the_model_replaces_is_followed():
    model = network()
    average = WeightAverage(model, 0.5)
    average.update()
    model[1].running_mean = torch.full((2,), 8.0)
    average.update()
    torch.testing.assert_close(average.module[1].running_mean, torch.full((2,), 4.0))
