"""What of a model is not trained, and until when."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import SpecError, did_you_mean
from bench.spec.train_settings import TrainSettings
from bench.train.optim import ParameterGroup, parameter_group

EncoderParts = dict[str, list[nn.Module]]
"""An encoder's modules by stage, in order from the input."""


class Freezing:
    """A model's parameters, some of them frozen up to an epoch or for good.

    Frozen parameters take no gradient and are in no group, so the optimizer keeps no state of them.
    Where nothing before a frozen layer takes a gradient either, autograd records nothing there and
    there is no backward pass. What is frozen is a fixed function: its dropout and stochastic depth
    are off, and its BatchNorm uses its running statistics, unless they are to move.

    Attributes:
        trainable: how many parameters are trained in the first epoch.
    """

    def __init__(self, model: nn.Module, settings: TrainSettings) -> None:
        """Freeze what the settings say; the first epoch is about to begin.

        Raises:
            SpecError: the model does not say what its encoder is, has no such stage, or has nothing
                left to train.
        """
        self._settings = settings
        parts = _encoder_parts(model, settings)
        frozen = list(chain.from_iterable(_frozen(parts, settings).values()))
        self._eval_modules = [
            module
            for part in frozen
            for module in part.modules()
            if settings.freeze_statistics or not isinstance(module, _BatchNorm)
        ]
        frozen_parameters = _parameters(frozen)
        self._frozen = [p for p in model.parameters() if p in frozen_parameters and p.requires_grad]
        for parameter in self._frozen:
            parameter.requires_grad_(False)
        separate = settings.encoder_lr is not None
        encoder = (
            _parameters(chain.from_iterable(parts.values())) - frozen_parameters
            if separate
            else set()
        )
        self._encoder = [p for p in model.parameters() if p in encoder]
        self._rest = [p for p in model.parameters() if p not in frozen_parameters | encoder]
        self.trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
        if self.trainable == 0:
            raise SpecError("leaves nothing to train", key="train.freeze")

    def groups(self) -> list[ParameterGroup]:
        """What is trained from the first epoch on; last the encoder, if it has its own rate."""
        groups = [parameter_group(self._rest, self._settings.lr)]
        return groups + ([self._encoder_group(self._encoder)] if self._encoder else [])

    def unfreeze(self, epoch: int) -> list[ParameterGroup]:
        """Unfreeze if `epoch` (from 1) is the one to do so or a later one: what is trained now too.

        Once unfrozen, nothing is given again.
        """
        until = self._settings.unfreeze_epoch
        if until is None or epoch < until or not self._frozen:
            return []
        for parameter in self._frozen:
            parameter.requires_grad_(True)
        unfrozen, self._frozen, self._eval_modules = self._frozen, [], []
        return [self._encoder_group(unfrozen)]

    def freeze_to_eval(self) -> None:
        """Put what is frozen into evaluation mode; call it after the model's `train()`."""
        for module in self._eval_modules:
            module.training = False  # not eval(): children have a say of their own

    def normalises_by_batch(self, model: nn.Module) -> bool:
        """Whether any BatchNorm of the model takes its statistics from the batch in training."""
        return any(
            isinstance(m, _BatchNorm) and m not in self._eval_modules for m in model.modules()
        )

    def _encoder_group(self, parameters: list[nn.Parameter]) -> ParameterGroup:
        return parameter_group(parameters, self._settings.encoder_lr or self._settings.lr)


def _encoder_parts(model: nn.Module, settings: TrainSettings) -> EncoderParts:
    """The encoder's parts, where the settings have to do with them."""
    concerned = [
        key
        for key, default in (("freeze", "none"), ("encoder_lr", None))
        if getattr(settings, key) != default
    ]
    if not concerned:
        return {}
    if not hasattr(model, "encoder_parts"):
        raise SpecError(
            f"{type(model).__name__} has no method encoder_parts(), which would say what its "
            "encoder is: {stage: [modules]}, from the input on",
            key=f"train.{concerned[0]}",
        )
    found: EncoderParts = model.encoder_parts()  # type: ignore[operator]  # a method
    return found


def _frozen(parts: EncoderParts, settings: TrainSettings) -> EncoderParts:
    """The parts from the input to the last one that is frozen."""
    freeze = settings.freeze
    if freeze == "none":
        return {}
    if freeze == "encoder":
        return parts
    if freeze.up_to not in parts:
        hint = did_you_mean(freeze.up_to, parts)
        raise SpecError(f"no stage {freeze.up_to!r}{hint}", key="train.freeze.up_to")
    stages = list(parts)
    return {stage: parts[stage] for stage in stages[: stages.index(freeze.up_to) + 1]}


def _parameters(modules: Iterable[nn.Module]) -> set[nn.Parameter]:
    return {parameter for module in modules for parameter in module.parameters()}
