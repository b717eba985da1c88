"""torchvision's networks as encoders: without their classifiers, with a tap at each stride."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models

from bench.models.blocks import BatchNorm
from bench.models.taps import family_of

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Taps = dict[int, Tensor]
"""Maps (N, C, H/stride, W/stride) by stride, the finest first."""


def builder(encoder: str) -> Callable[..., nn.Module]:
    """torchvision's builder of the whole network; its state dict contains our encoder's.

    Raises:
        SpecError: no such encoder.
    """
    family_of(encoder)
    found: Callable[..., nn.Module] = models.get_model_builder(encoder)
    return found


def build_encoder(encoder: str, in_channels: int = 3) -> Encoder:
    """torchvision's network of that name as an encoder, with torchvision's initial values.

    With other than three input channels the first convolution is a new one.

    Raises:
        SpecError: no such encoder.
    """
    kind = TokenEncoder if family_of(encoder).layout == "tokens" else Encoder
    return kind(encoder, in_channels)


class Encoder(nn.Module):
    """A chain of a network's modules under torchvision's names; what no tap uses is left out.

    torchvision's windows without padding (Inception) are padded, so that maps stay centred on the
    image and every halving gives ⌈H/2⌉.

    Attributes:
        family: how the network is cut.
    """

    def __init__(self, encoder: str, in_channels: int = 3) -> None:
        super().__init__()
        self.family = family_of(encoder)
        network = builder(encoder)(weights=None, **dict(self.family.options))
        _allow_single_pixels(network)
        self.recentre: nn.Module = nn.Identity()
        if in_channels != 3:
            _replace_first_conv(network, in_channels)
        elif encoder == "inception_v3":
            self.recentre = _Recentre()
        self._adopt(network)

    def _adopt(self, network: nn.Module) -> None:
        for stage in self.family.stages.values():
            for path in stage.modules:
                container, _, name = path.rpartition(".")
                if container and not hasattr(self, container):
                    self.add_module(container, nn.ModuleDict())
                self.get_submodule(container).add_module(name, network.get_submodule(path))

    def parts(self) -> dict[str, list[nn.Module]]:
        """Its modules by stage, in order from the input; each module is in one stage."""
        return {
            name: [self.get_submodule(path) for path in stage.modules]
            for name, stage in self.family.stages.items()
        }

    def forward(self, images: Tensor) -> Taps:
        """(N, in_channels, H, W), H and W multiples of `family.multiple`, to the taps."""
        x = self.recentre(images)
        taps: Taps = {}
        for stage in self.family.stages.values():
            for path in stage.modules:
                if path in self.family.unpadded:
                    x = F.pad(x, [1] * 4)
                x = self.get_submodule(path)(x)
            taps[stage.stride] = x.permute(0, 3, 1, 2) if self.family.layout == "nhwc" else x
        return taps


class TokenEncoder(Encoder):
    """A Vision Transformer (Dosovitskiy et al. 2021), whose only tap is at its patches' stride.

    Its position embeddings are those of 224×224 pixels, interpolated for other sizes.
    """

    def _adopt(self, network: Any) -> None:
        self.class_token: nn.Parameter = network.class_token
        self.conv_proj: nn.Conv2d = network.conv_proj
        self.encoder: Any = network.encoder

    def parts(self) -> dict[str, list[nn.Module]]:
        """Its modules by stage; class token and position embeddings belong to the stem."""
        parts = super().parts()
        parts["stem"].append(nn.ParameterList([self.class_token, self.encoder.pos_embedding]))
        return parts

    def forward(self, images: Tensor) -> Taps:
        """(N, in_channels, H, W), H and W multiples of the patches' side, to the one tap."""
        patches = self.conv_proj(images)
        first = self.class_token.expand(len(images), -1, -1)
        x = torch.cat([first, patches.flatten(2).transpose(1, 2)], dim=1)
        x = x + self._positions(patches.shape[-2:])
        x = self.encoder.ln(self.encoder.layers(self.encoder.dropout(x)))
        (stride,) = {stage.stride for stage in self.family.stages.values()}
        return {stride: x[:, 1:].transpose(1, 2).reshape(patches.shape)}

    def _positions(self, size: torch.Size) -> Tensor:
        """(1, 1 + h·w, C): the class token's embedding and those of a grid of `size`."""
        known: Tensor = self.encoder.pos_embedding
        side = math.isqrt(known.shape[1] - 1)
        if size == (side, side):
            return known
        grid = known[:, 1:].transpose(1, 2).reshape(1, -1, side, side)
        # Not bicubic, which has no deterministic backward on CUDA.
        grid = F.interpolate(grid, size=list(size), mode="bilinear", align_corners=False)
        return torch.cat([known[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def tap_channels(encoder: Encoder, in_channels: int) -> dict[int, int]:
    """How many channels each tap has, by stride; found with tensors that hold no values."""
    tensors = chain(encoder.named_parameters(), encoder.named_buffers())
    state = {name: value.to("meta") for name, value in tensors}
    side = 2 * max(stage.stride for stage in encoder.family.stages.values())
    images = torch.empty(1, in_channels, side, side, device="meta")
    with torch.no_grad():
        taps: Taps = torch.func.functional_call(encoder.eval(), state, (images,))
    encoder.train()
    return {stride: tap.shape[1] for stride, tap in taps.items()}


class _Recentre(nn.Module):
    """From images normalised with ImageNet's mean and deviation to (v − 0.5) / 0.5.

    So do torchvision's weights of Inception want them (its `transform_input`).
    """

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to the same shape."""
        statistics = zip(_IMAGENET_MEAN, _IMAGENET_STD, strict=True)
        channels = [
            images[:, index : index + 1] * (std / 0.5) + (mean - 0.5) / 0.5
            for index, (mean, std) in enumerate(statistics)
        ]
        return torch.cat(channels, dim=1)


def _allow_single_pixels(network: nn.Module) -> None:
    """Put our BatchNorm, which a single 1×1 map does not stop, in place of PyTorch's."""
    for path, module in list(network.named_modules()):
        if type(module) is nn.BatchNorm2d:
            norm = BatchNorm(module.num_features, eps=module.eps, momentum=module.momentum)
            _replace(network, path, norm)


def _replace_first_conv(network: nn.Module, in_channels: int) -> None:
    """Put a convolution of `in_channels` in place of the network's first."""
    path, first = next(
        (path, module) for path, module in network.named_modules() if isinstance(module, nn.Conv2d)
    )
    conv = nn.Conv2d(
        in_channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]  # declared as a tuple of any length
        first.stride,  # type: ignore[arg-type]  # as above
        first.padding,  # type: ignore[arg-type]  # as above
        bias=first.bias is not None,
    )
    _replace(network, path, conv)


def _replace(network: nn.Module, path: str, module: nn.Module) -> None:
    container, _, name = path.rpartition(".")
    setattr(network.get_submodule(container), name, module)
