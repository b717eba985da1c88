"""Number formats: which one, autocast, and the scaled optimizer step that fp16 needs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.errors import DeviceError
from bench.train.gradient_noise import GradientNoise

Name = Literal["fp32", "bf16", "fp16"]
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """The format of one trial's arithmetic on one device.

    Attributes:
        name: what `auto` became: bf16 on a CUDA device that has it, else fp32.
        scaler: scales the loss for fp16, and does nothing otherwise.
    """

    def __init__(self, wanted: str, device: torch.device) -> None:
        self.name: Name = _resolve(wanted, device)
        self._device = device
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.name == "fp16")

    def autocast(self) -> AbstractContextManager[Any]:
        """The context for forward passes."""
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self._device.type, dtype=_TYPES[self.name])

    def backward(self, loss: Tensor) -> None:
        """Backward pass of the loss; gradients are added to what there are."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's has no types

    def step(
        self,
        optimizer: torch.optim.Optimizer,
        model: nn.Module,
        clip_grad_norm: float | None,
        noise: GradientNoise | None = None,
    ) -> None:
        """Clip the gradients by the global norm if asked, and take the optimizer's step."""
        if clip_grad_norm is not None or noise is not None:
            self.scaler.unscale_(optimizer)
        if clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip_grad_norm)
        if noise is not None:
            noise.add(optimizer)
        self.scaler.step(optimizer)
        self.scaler.update()

    def step_if_finite(
        self,
        loss: Tensor,
        optimizer: torch.optim.Optimizer,
        model: nn.Module,
        clip_grad_norm: float | None,
        noise: GradientNoise | None = None,
    ) -> Tensor:
        """As `step`, but not taken where loss or gradient is not finite; nothing is read back.

        Returns whether it was not taken for that, a () bool on the device. A gradient that fp16
        cannot hold only because the loss is scaled up lowers the scale, as ever, and is no sign of
        anything: there it is False.
        """
        self.scaler.unscale_(optimizer)
        finite, norm = loss.isfinite(), self._norm(optimizer, model, clip_grad_norm)
        taken = finite & norm.isfinite()
        if noise is not None:
            noise.add(optimizer)
        optimizer.grad_scale = None  # type: ignore[attr-defined]  # fused optimizers read both
        optimizer.found_inf = (~taken).float()  # type: ignore[attr-defined]  # as above
        optimizer.step()
        scale = self.scaler.scale(torch.ones_like(loss))
        self.scaler.update()
        return ~finite | (~taken & (scale <= 1))

    def _norm(
        self, optimizer: torch.optim.Optimizer, model: nn.Module, clip_grad_norm: float | None
    ) -> Tensor:
        """The global norm of the gradient, which is clipped if asked."""
        if clip_grad_norm is not None:
            return nn.utils.clip_grad_norm_(model.parameters(), clip_grad_norm)
        trained = (weight for group in optimizer.param_groups for weight in group["params"])
        return nn.utils.get_total_norm(
            [weight.grad for weight in trained if weight.grad is not None]
        )


def check_precision(wanted: str, device: torch.device) -> None:
    """Refuse a format that this CPU could only imitate, 2 to 17 times slower than fp32.

    Raises:
        DeviceError: it has no instructions for it.
    """
    if device.type == "cpu" and wanted in _TYPES and not _cpu_has(wanted):
        raise DeviceError(
            f"train.precision: this CPU has no instructions for {wanted}, which would be several "
            "times slower than fp32: use auto or fp32"
        )


def _cpu_has(name: str) -> bool:
    """Whether oneDNN computes in this format by the CPU's own instructions."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch's has no types
        return False
    if name == "fp16":
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    # for bf16 it also says yes where AVX-512 only imitates it
    imitated = torch.cpu._is_avx512_supported() and not torch.cpu._is_avx512_bf16_supported()
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and not imitated


def _resolve(wanted: str, device: torch.device) -> Name:
    if wanted in ("fp32", "bf16", "fp16"):
        return wanted  # type: ignore[return-value]  # narrowed by the line above
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    return "fp32"
