"""What every model by `target:` must do."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bench.models.settings import MODELS
from bench.registry import Custom
from bench.tasks.outputs import as_classes, heads, main_output
from bench.testing.cases import as_test, require


def model_conforms(
    target: str, *, classes: int = 2, masks: bool = True, size: int = 64, **arguments: Any
) -> Callable[..., None]:
    """A test of a model in all its duties.

    Args:
        target: `module:Name`, as in `model`.
        classes: how many it is built for.
        masks: whether it segments; else it classifies.
        size: of the images it is tried with.
        arguments: the others of `model`.
    """
    settings = Custom.model_validate({"target": target, **arguments})
    suite = _Suite(settings, classes, masks, size)
    return as_test(
        [
            suite.gives_scores_of_classes,
            suite.sends_a_gradient_to_every_parameter,
            suite.is_deterministic_in_evaluation,
            suite.comes_back_from_its_state_dict,
        ]
    )


class _Suite:
    def __init__(self, settings: Custom, classes: int, masks: bool, size: int) -> None:
        self.settings, self.classes, self.masks, self.size = settings, classes, masks, size

    def _model(self) -> nn.Module:
        torch.manual_seed(0)
        found: nn.Module = MODELS.build(self.settings, in_channels=3, out_channels=self.classes)
        return found

    def _images(self, count: int = 2) -> Tensor:
        noise = torch.Generator().manual_seed(1)
        return torch.randn(count, 3, self.size, self.size, generator=noise)

    def gives_scores_of_classes(self) -> None:
        with torch.inference_mode():
            found = main_output(self._model().eval()(self._images()))
        wanted = (2, self.classes, *([self.size] * 2 if self.masks else []))
        shape = tuple(found.shape)
        logit = (wanted[0], 1, *wanted[2:]) if self.classes == 2 else wanted
        require(shape in (wanted, logit), f"its main output is {wanted}, not {shape}")

    def sends_a_gradient_to_every_parameter(self) -> None:
        model = self._model().train()
        sum(
            as_classes(head.float()).log_softmax(1)[:, 0].mean()
            for head in heads(model(self._images(4)))
        ).backward()  # type: ignore[union-attr]  # there is a head at least
        without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        require(not without, f"every parameter takes part: not {', '.join(without[:3])}")

    def is_deterministic_in_evaluation(self) -> None:
        model, images = self._model().eval(), self._images()
        with torch.inference_mode():
            one, other = (main_output(model(images)) for _ in range(2))
        require(torch.equal(one, other), "the same images give the same scores in evaluation")

    def comes_back_from_its_state_dict(self) -> None:
        model, file = self._model().train(), io.BytesIO()
        model(self._images(4))
        torch.save(model.state_dict(), file)
        file.seek(0)
        copy = self._model()
        copy.load_state_dict(torch.load(file, weights_only=True))
        with torch.inference_mode():
            one, other = (main_output(m.eval()(self._images())) for m in (model, copy))
        require(torch.equal(one, other), "its state_dict has all that its scores depend on")
