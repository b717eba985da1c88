"""What models give: one tensor, a mapping with `out`, or several heads; classes, or one logit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import SpecError

HEAD_DECAY = 0.5
"""Each further head's weight, of that of the one before: as in nnU-Net, and torchvision's 0.5."""


def heads(found: Any) -> list[Tensor]:
    """A model's outputs, the main one first.

    A mapping has the main one under `out` (torchvision's networks), a list or tuple in front;
    stacked ones, (B, heads, K, H, W), are MONAI's in deep supervision.

    Raises:
        SpecError: there is no tensor where the main output should be.
    """
    if isinstance(found, Tensor):
        return list(found.unbind(1)) if found.dim() == 5 else [found]
    if isinstance(found, Mapping):
        if not isinstance(found.get("out"), Tensor):
            names = ", ".join(map(str, found)) or "nothing"
            raise SpecError(
                f"its output is a mapping of {names}: the predictions must be under `out`",
                key="model",
            )
        others = [value for name, value in found.items() if name != "out"]
        return [found["out"], *(value for value in others if isinstance(value, Tensor))]
    if isinstance(found, list | tuple) and found and all(isinstance(f, Tensor) for f in found):
        return list(found)
    raise SpecError(
        f"its output is a {type(found).__name__}: give a tensor, a mapping with `out`, or a list "
        "of tensors, the main one first",
        key="model",
    )


def main_output(found: Any) -> Tensor:
    """The one that is validated and predicts."""
    return found if isinstance(found, Tensor) and found.dim() != 5 else heads(found)[0]


class MainOutput(nn.Module):
    """A model as one that gives its main output alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Tensor:
        """The main output."""
        return main_output(self.model(*inputs))


def weights_of_heads(count: int, weights: Sequence[float] | None) -> list[float]:
    """The share of each of a model's outputs in the loss; by default 1, 1/2, 1/4, …

    Raises:
        SpecError: as many weights were given for another number of outputs.
    """
    if weights is None:
        return [HEAD_DECAY**index for index in range(count)]
    if len(weights) != count:
        raise SpecError(
            f"has {len(weights)} weights, and the model gives {count} outputs in training",
            key="train.head_weights",
        )
    return list(weights)


def loss_of_heads(
    found: Any, loss: Callable[[Tensor], Tensor], weights: Sequence[float] | None
) -> Tensor:
    """The loss of a model's output in float32; of several heads the weighted sum.

    Raises:
        SpecError: the output is none, or `weights` are of another number of heads.
    """
    if isinstance(found, Tensor) and found.dim() != 5:
        return loss(found.float())
    each = heads(found)
    shares = weights_of_heads(len(each), weights)
    first, *others = (share * loss(head.float()) for share, head in zip(shares, each, strict=True))
    return sum(others, start=first)


def at_size(scores: Tensor, size: Sequence[int]) -> Tensor:
    """Scores (B, K, h, w) of a smaller head at the masks' size, by bilinear interpolation."""
    if list(scores.shape[2:]) == list(size):
        return scores
    return F.interpolate(scores, size=list(size), mode="bilinear", align_corners=False)


def as_classes(scores: Tensor) -> Tensor:
    """Scores with an entry per class along dimension 1: one logit x of two classes becomes (0, x).

    Softmax then gives the second class the sigmoid of x.
    """
    if scores.shape[1] != 1:
        return scores
    return torch.cat([torch.zeros_like(scores), scores], 1)


def as_logit(scores: Tensor) -> Tensor:
    """The logit of the second of two classes, with one entry along dimension 1."""
    return scores if scores.shape[1] == 1 else scores[:, 1:2] - scores[:, :1]


def predict_labels(scores: Tensor) -> Tensor:
    """(B, K, H, W) scores, or (B, 1, H, W) logits of the second class → (B, H, W) uint8 labels."""
    if scores.shape[1] == 1:
        return (scores[:, 0] > 0).to(torch.uint8)
    if scores.shape[1] == 2:  # several times faster than argmax on a CPU
        return (scores[:, 1] > scores[:, 0]).to(torch.uint8)
    return scores.argmax(1).to(torch.uint8)
