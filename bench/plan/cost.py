"""What the models of a plan cost, each distinct one built once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from bench.errors import BenchError, SpecError, first_line
from bench.models.settings import MODELS
from bench.plan.trial import Trial, digest

if TYPE_CHECKING:
    from torch import nn

    from bench.measure.cost import Cost

IN_CHANNELS = 3


def model_costs(
    trials: Iterable[Trial], report: Callable[[str], None] | None = None
) -> dict[str, Cost]:
    """Each trial's id and what its model costs for one image of its data's size.

    Models with equal settings, image size and classes are built once. `report` is told each of them
    by name before it is built.

    Raises:
        SpecError: a model cannot be built, or does not give the task's output; it names the model.
    """
    known: dict[str, Cost] = {}
    costs: dict[str, Cost] = {}
    for trial in trials:
        settings, size = trial.settings, trial.settings.data.image_size
        key = digest([settings.model.identity(), settings.task.identity(), size, classes(trial)])
        if key not in known:
            if report is not None:
                report(f"{model_name(trial)}, {IN_CHANNELS}×{size}×{size}")
            known[key] = _cost(trial)
        costs[trial.id] = known[key]
    return costs


def classes(trial: Trial) -> int:
    """How many channels the trial's task wants at the end of its model."""
    settings = trial.settings
    return int(settings.task.out_channels(settings.classes))


def model_name(trial: Trial) -> str:
    """`unet`, or the target of a model of the user's own."""
    model = trial.settings.model
    return str(getattr(model, "name", None) or model.target)


def _cost(trial: Trial) -> Cost:
    from bench.measure.cost import model_cost

    size = trial.settings.data.image_size
    shape = (1, IN_CHANNELS, size, size)
    try:
        model = MODELS.build(
            trial.settings.model, in_channels=IN_CHANNELS, out_channels=classes(trial)
        )
        _check_output(model, shape, trial)
        return model_cost(model, shape)
    except Exception as error:
        kind = "" if isinstance(error, BenchError) else f"{type(error).__name__}: "
        message = f"{model_name(trial)!r} cannot be used: {kind}{first_line(error)}"
        raise SpecError(message, key="model") from error


def _check_output(model: nn.Module, shape: tuple[int, ...], trial: Trial) -> None:
    """Refuse a model whose output is not what the task needs."""
    import torch

    if not isinstance(model, torch.nn.Module):
        raise SpecError(f"it is a {type(model).__name__}, not a torch.nn.Module")
    if trial.settings.task.name != "segmentation":
        return
    expected = (1, classes(trial), *shape[2:])
    with torch.inference_mode():
        output = model.eval()(torch.zeros(shape))
    found = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
    if found != expected:
        raise SpecError(f"its output for an input of shape {shape} is {found}, not {expected}")
