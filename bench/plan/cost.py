"""What the models of a plan cost, each distinct one built once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, SpecError, did_you_mean, first_line
from bench.models.settings import MODELS
from bench.plan.trial import Trial, digest
from bench.registry import Custom, accepted, load_target
from bench.settings import is_excluded_from_builder
from bench.spec.schema import TrialSettings
from bench.stages import each

if TYPE_CHECKING:
    from torch import nn

    from bench.measure.cost import Cost

_OUTPUTS = ("out_channels", "num_classes", "classes", "n_classes", "out_classes", "num_labels")
"""What libraries call the number of a model's outputs."""


def model_costs(
    trials: Iterable[Trial], report: Callable[[str], None] | None = None
) -> dict[str, Cost]:
    """Each trial's id and what its model costs for one image of its data's size.

    Models with equal settings, image size, classes and frozen parts are built once. `report` is
    called with each of them by name before it is built.

    Raises:
        SpecError: a model cannot be built, or does not give the task's output; it names the model.
    """
    known: dict[str, Cost] = {}
    costs: dict[str, Cost] = {}
    for trial in each("counting costs", list(trials)):
        key = digest(model_identity(trial.settings))
        if key not in known:
            if report is not None:
                data = trial.settings.data
                height, width = data.network_size
                report(f"{model_name(trial)}, {data.channel_count}×{height}×{width}")
            known[key] = _cost(trial)
        costs[trial.id] = known[key]
    return costs


def num_outputs(trial: Trial) -> int:
    """How many channels the trial's task wants at the end of its model."""
    settings = trial.settings
    return int(settings.task.out_channels(settings.classes))


def model_name(trial: Trial) -> str:
    """`unet`, or the target of a model of the user's own."""
    model = trial.settings.model
    return str(getattr(model, "name", None) or model.target)


def model_identity(settings: TrialSettings) -> dict[str, Any]:
    """What decides a model's cost: not, for example, the weights that it starts with."""
    kinds = type(settings.model).model_fields
    apart = {key for key, kind in kinds.items() if is_excluded_from_builder(kind.json_schema_extra)}
    model = settings.model.identity()
    return {
        "model": {key: value for key, value in model.items() if key not in apart},
        "task": settings.task.name,  # its own settings change neither input nor output
        "size": [settings.data.channel_count, *settings.data.network_size],
        "classes": len(settings.classes),
        "freeze": settings.train.identity()["freeze"],
    }


def _cost(trial: Trial) -> Cost:
    from bench.measure.cost import model_cost

    task, data = trial.settings.task, trial.settings.data
    shape = (1, data.channel_count, *data.network_size)
    try:
        model = MODELS.build(
            trial.settings.model, in_channels=data.channel_count, out_channels=num_outputs(trial)
        )
        one_tensor = _check_output(model, shape, trial)
        apply_freeze(model, trial)
        return model_cost(one_tensor, shape, takes_time=task.takes_time)
    except Exception as error:
        kind = "" if isinstance(error, BenchError) else f"{type(error).__name__}: "
        message = f"{model_name(trial)!r} cannot be used: {kind}{first_line(error)}"
        raise SpecError(message, key="model") from error


def _check_output(model: nn.Module, shape: tuple[int, ...], trial: Trial) -> nn.Module:
    """Refuse a model whose output is not what the task needs; the model as one of one tensor.

    Of several outputs the main one counts. One logit will do for two classes.
    """
    import torch

    from bench.measure.cost import example_inputs
    from bench.tasks.outputs import MainOutput, main_output

    if not isinstance(model, torch.nn.Module):
        raise SpecError(f"it is a {type(model).__name__}, not a torch.nn.Module")
    task = trial.settings.task
    expected = task.output_shape(trial.settings.classes, trial.settings.data.network_size)
    # evaluation mode: BatchNorm refuses a single image in training
    with torch.inference_mode():
        output = model.eval()(*example_inputs(shape, task.takes_time, torch.empty(0)))
        found = tuple(main_output(output).shape)
    one_logit = (expected[0], 1, *expected[2:]) if expected[1] == 2 and task.classes_at_end else ()
    if found not in (expected, one_logit):
        raise SpecError(
            f"its output for an input of shape {shape} is {found}, not {expected}"
            f"{_which_argument(trial, found, expected)}"
        )
    return model if isinstance(output, torch.Tensor) else MainOutput(model)


def _which_argument(trial: Trial, found: tuple[int, ...], expected: tuple[int, ...]) -> str:
    """Which of the arguments of a model of one's own sets the number of its outputs."""
    model = trial.settings.model
    if not isinstance(model, Custom) or found[1:2] == expected[1:2]:
        return ""
    given = model.model_extra or {}
    # out_channels is handed on where the model takes it
    others = [name for name in _OUTPUTS if name != "out_channels"]
    known = {**given, **accepted(load_target(model.target), dict.fromkeys(others))}
    names = [name for name in _OUTPUTS if name in known]
    return f"; set model.{names[0]}: {expected[1]}" if names else ""


def apply_freeze(model: nn.Module, trial: Trial) -> None:
    """Leave out of the trainable parameters what is frozen from the first epoch on."""
    frozen = trial.settings.train.freeze
    if frozen == "none" and trial.settings.train.encoder_lr is None:
        return
    encoder_parts: Callable[[], dict[str, list[nn.Module]]] | None
    encoder_parts = getattr(model, "encoder_parts", None)
    if encoder_parts is None:
        raise SpecError("it has no `encoder_parts()`, so no encoder to freeze or to train apart")
    if frozen == "none":
        return
    parts = encoder_parts()
    last = next(reversed(parts)) if frozen == "encoder" else frozen.up_to
    if last not in parts:
        raise SpecError(f"it has no stage {last!r}{did_you_mean(last, parts)}")
    for stage, modules in parts.items():
        for module in modules:
            module.requires_grad_(False)
        if stage == last:
            break
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise SpecError("with this freezing nothing of it is left to train")
