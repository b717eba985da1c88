"""A fault of oneDNN, which computes PyTorch's convolutions on a CPU, and the way round it.

On processors with AVX2 and without AVX-512 the weight gradient of a 1×1 convolution with a stride,
fewer than eight input channels and channels-last tensors writes outside its memory (seen in torch
2.11 to 2.14): the process aborts, or goes on with corrupted values. Such a convolution looks at
every `stride`-th pixel only, so taking these pixels first and then convolving with stride 1 is the
same function.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

FAULTY_BELOW = 8
"""Input channels: the width of an AVX2 register of fp32, which the faulty code fills whole."""


def avoid_faulty_convolutions(model: nn.Module) -> nn.Module:
    """Have the model's strided 1×1 convolutions pick their pixels first, where they run on a CPU.

    Covers `nn.Conv2d`, lazy ones and subclasses included. Parameters, their names and the result
    stay the same. Convolutions that a model calls as a function are its own affair.
    """
    for module in model.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        pads = module.padding not in ("valid", 0) and any(module.padding)
        if max(module.kernel_size) == 1 and max(module.stride) > 1 and not pads:
            module._conv_forward = partial(_pick_then_convolve, module)  # type: ignore[method-assign]  # of this instance only
    return model


def _pick_then_convolve(
    conv: nn.Conv2d, images: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """`nn.Conv2d._conv_forward` for (N, C, H, W) or (C, H, W) images."""
    if images.device.type == "cpu" and conv.in_channels // conv.groups < FAULTY_BELOW:
        down, across = conv.stride
        picked = images[..., ::down, ::across]
        return F.conv2d(picked, weight, bias, groups=conv.groups)
    maps: Tensor = nn.Conv2d._conv_forward(conv, images, weight, bias)
    return maps
