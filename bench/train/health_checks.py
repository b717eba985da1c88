"""Looks at a model after each epoch for what goes wrong in silence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.health import HealthFinding, HealthIssue
from bench.history_row import HistoryRow
from bench.spec.schema import Mistake, SelectSettings
from bench.spec.train_settings import TrainSettings
from bench.train.average import WeightAverage

MAX_INITIAL_LEFT = 0.02
"""What may be left of running statistics' initial values: with 0.04 validation suffers, with 0.01
only in networks whose activations vary little, so that what is left of the initial 1 outweighs.
"""
MAX_STALE_SHARE = 0.2
"""The share of BatchNorms where it does that is too much."""
DEFAULT_MOMENTUM = 0.1
"""Of torch's BatchNorm."""
MAX_AVERAGE_LAG = 0.05
"""Of averaged weights."""
MIN_STEPS = 5
"""Where layers begin with zeros, gradients reach what is before them some steps later."""
MIN_EPOCHS = 3
"""Fewer epochs than this say nothing about what happens in each."""
ROUNDING_TOLERANCE = 1e-5
"""Relative; losses are sums of float32."""
NEGLIGIBLE_LR = 0.01
"""Of the highest learning rate: below it the loss may stand still."""
MAX_NAMED = 3
"""So many parts are named, and the others counted."""

_MISTAKES: dict[Mistake, str] = {
    "eval_mode_leak": "training went on in evaluation mode after the first validation",
    "unpaired_masks": "transforms moved images and masks apart",
    "grad_in_validation": "validation recorded gradients",
}
_RECORDED_AS = {
    "fresh_norms": "initial",
    "stopped_norms": "still",
    "stale_norms": "stuck",
    "params_without_grad": "unfed",
}
"""Fields of `HealthState` by their names in checkpoints, which releases before this one read."""


@dataclass
class HealthState:
    """What was seen so far; plain data, kept with the trial's state.

    Attributes:
        epochs: how many there were.
        fresh_norms: BatchNorms that began with mean 0 and variance 1, or close to that.
        updates: how often each BatchNorm's statistics have moved.
        stopped_norms: where they should have moved in an epoch and did not: in which first, in how
            many.
        stale_norms: BatchNorms whose running variance is for the most part its initial value now.
        params_without_grad: parameters meant to be trained that had no gradient so far: for so many
            epochs and steps.
    """

    epochs: int = 0
    fresh_norms: list[str] = field(default_factory=list)
    updates: dict[str, int] = field(default_factory=dict)
    stopped_norms: dict[str, list[int]] = field(default_factory=dict)
    stale_norms: list[str] = field(default_factory=list)
    params_without_grad: dict[str, list[int]] = field(default_factory=dict)


class HealthMonitor:
    """What was found in one trial's training.

    A look costs one value per BatchNorm, and a row of the gradients of parameters that had none so
    far: of all of them after the first epoch, mostly of none later.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        settings: TrainSettings,
        average: WeightAverage | None = None,
    ) -> None:
        """Training is about to begin, with the weights that it begins with."""
        self._model, self._optimizer = model, optimizer
        self._average, self._ema = average, settings.ema
        self._norms = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, _BatchNorm) and module.num_batches_tracked is not None
        }
        # L2 decay moves the mean of the gradients where there are none
        decays = settings.weight_decay > 0 and settings.optimizer != "adamw"
        keeps_mean = settings.optimizer in ("adam", "adamw") or (
            settings.optimizer == "sgd" and settings.momentum > 0
        )
        self._optimizer_averages = keeps_mean and not decays
        self._trained: set[str] = set()
        self._state = HealthState(fresh_norms=_from_scratch(self._norms), updates=self._updates())

    def state(self) -> dict[str, Any]:
        """What `resume` takes."""
        return {_RECORDED_AS.get(name, name): value for name, value in asdict(self._state).items()}

    def resume(self, state: Mapping[str, Any] | None) -> None:
        """Go on where `state` was taken, the model being as it was then.

        Without one, an earlier version having taken none, what was before is not known.
        """
        if state is None:
            self._state = HealthState(updates=self._updates())
        else:
            names = {recorded: name for name, recorded in _RECORDED_AS.items()}
            self._state = HealthState(**{names.get(key, key): state[key] for key in state})
        self._trained = set(self._parameters())

    @torch.no_grad()
    def observe_epoch(self, steps: int) -> None:
        """An epoch of so many steps is over; the last one's gradients are still there."""
        self._state.epochs += 1
        self._look_at_gradients(steps)
        self._look_at_statistics()

    def findings(
        self,
        history: Sequence[HistoryRow],
        select: SelectSettings,
        *,
        best: float | None,
        baseline: float | None,
        mistakes: Sequence[Mistake] = (),
    ) -> list[HealthFinding]:
        """What was found, at most one of a kind.

        Args:
            history: all epochs.
            select: the selected metric.
            best: its best value.
            baseline: the trivial prediction's on validation; None where there is none.
            mistakes: those made on purpose.
        """
        leak = "eval_mode_leak" in mistakes
        found = {
            HealthIssue.BELOW_BASELINE: _below_baseline(select, best, baseline),
            HealthIssue.STATISTICS_STOPPED: self._stopped(),
            HealthIssue.STATISTICS_LAG: self._lagging(),
            HealthIssue.AVERAGE_LAG: self._average_lags(),
            HealthIssue.NO_GRADIENT: self._without_gradient(),
            HealthIssue.LOSS_FROZEN: frozen_loss(history),
        }
        findings = [
            HealthFinding(kind, text, expected=leak and kind is HealthIssue.STATISTICS_STOPPED)
            for kind, text in found.items()
            if text is not None
        ]
        if mistakes:
            text = "; ".join(f"{name}: {_MISTAKES[name]}" for name in mistakes)
            findings.append(HealthFinding(HealthIssue.MISTAKE, text, expected=True))
        return findings

    def _parameters(self) -> dict[str, nn.Parameter]:
        """What is meant to be trained now."""
        named = self._model.named_parameters()
        return {name: p for name, p in named if p.requires_grad and p.numel()}

    def _look_at_gradients(self, steps: int) -> None:
        trained, params_without_grad = self._parameters(), self._state.params_without_grad
        params_without_grad |= {name: [0, 0] for name in trained if name not in self._trained}
        self._trained = set(trained)
        suspects = {name: trained[name] for name in params_without_grad if name in trained}
        with_grad = _with_nonzero_values({name: p.grad for name, p in suspects.items()})
        if self._optimizer_averages:
            with_grad |= _with_nonzero_values(
                {n: self._mean(p) for n, p in suspects.items() if n not in with_grad}
            )
        for name in with_grad:
            del params_without_grad[name]
        for seen in params_without_grad.values():
            seen[0] += 1
            seen[1] += steps

    def _mean(self, parameter: nn.Parameter) -> Tensor | None:
        """The optimizer's mean of a parameter's gradients, if it has had any."""
        state = self._optimizer.state.get(parameter, {})
        found: Tensor | None = state.get("exp_avg", state.get("momentum_buffer"))
        return found

    def _look_at_statistics(self) -> None:
        state, now = self._state, self._updates()
        for name, module in self._norms.items():
            moved = now[name] > state.updates[name] and module.momentum != 0
            if not moved and self._is_trained(name):
                state.stopped_norms.setdefault(name, [state.epochs, 0])[1] += 1
        state.updates = now
        state.stale_norms = self._find_stale_norms()

    def _is_trained(self, norm: str) -> bool:
        """Whether a BatchNorm is part of what is trained and in use; or its parent is."""
        parent = norm.rpartition(".")[0]
        own = dict(self._norms[norm].named_parameters(norm, recurse=False))
        names = own or dict(self._model.get_submodule(parent).named_parameters(parent))
        return any(
            name in self._trained and name not in self._state.params_without_grad for name in names
        )

    def _updates(self) -> dict[str, int]:
        counts = [module.num_batches_tracked for module in self._norms.values()]
        found = torch.stack(counts).tolist() if counts else []  # type: ignore[arg-type]  # those without are left out above
        return dict(zip(self._norms, found, strict=True))

    def _find_stale_norms(self) -> list[str]:
        """Where more than half of the median channel's running variance is what is left of 1.

        `eps` is added to the variance where it is used.
        """
        left = {name: self._initial_left(name) for name in self._state.fresh_norms}
        left = {name: part for name, part in left.items() if part > self._norms[name].eps}
        norms = [self._norms[name] for name in left]
        variances = [norm.running_var.median() for norm in norms if norm.running_var is not None]
        found = torch.stack(variances).tolist() if variances else []
        named = zip(left, norms, found, strict=True)
        return [name for name, norm, variance in named if 2 * left[name] > variance + norm.eps]

    def _initial_left(self, norm: str) -> float:
        """How much of the initial values is left; none under a plain mean (momentum None)."""
        momentum, updates = self._norms[norm].momentum, self._state.updates[norm]
        return (1 - momentum) ** updates if momentum and updates else 0.0

    def _stopped(self) -> str | None:
        stopped_norms = self._state.stopped_norms
        if not stopped_norms:
            return None
        first, count = (
            min(first for first, _ in stopped_norms.values()),
            max(n for _, n in stopped_norms.values()),
        )
        when = f"in {count} of {self._state.epochs} epochs, first in epoch {first}"
        return f"BatchNorm's running statistics of {_named(stopped_norms)} stood still {when}"

    def _lagging(self) -> str | None:
        state = self._state
        moving = [n for n in state.fresh_norms if state.updates[n] and n not in state.stopped_norms]
        behind = [name for name in moving if self._initial_left(name) > MAX_INITIAL_LEFT]
        stale_norms = [name for name in state.stale_norms if name in moving]
        if not behind and len(stale_norms) <= MAX_STALE_SHARE * len(moving):
            return None
        worst = max(behind or stale_norms, key=self._initial_left)
        share = f"{len(stale_norms or behind)} of {len(moving)}"
        which = (
            f"in {share} most of the variance is still the initial one ({_named(stale_norms)})"
            if stale_norms
            else f"{share} are behind ({_named(behind)})"
        )
        return (
            f"BatchNorm's statistics have moved by {_percent(1 - self._initial_left(worst))} of "
            f"the way from their initial values in {state.updates[worst]} steps of momentum "
            f"{self._norms[worst].momentum}; {which}"
        )

    def _average_lags(self) -> str | None:
        """The average begins with the weights after the first step."""
        if self._average is None or self._ema is None:
            return None
        steps = self._average.steps
        left = self._ema ** (steps - 1)
        if left <= MAX_AVERAGE_LAG:
            return None
        return (
            f"the moving average of the weights is to {_percent(left)} still those after the first "
            f"of {steps} steps, with train.ema {self._ema}"
        )

    def _without_gradient(self) -> str | None:
        with_grad = self._trained - self._state.params_without_grad.keys()
        sure = [name for name in self._state.params_without_grad if self._is_certain(name)]
        # normalisation after a layer cancels its bias: no gradient there is no fault
        weights = {name: f"{name.removesuffix('bias')}weight" for name in sure}
        is_bias = {name: name.rpartition(".")[2] == "bias" for name in sure}
        params_without_grad = [
            name for name in sure if not (is_bias[name] and weights[name] in with_grad)
        ]
        if not params_without_grad:
            return None
        values = sum(self._model.get_parameter(name).numel() for name in params_without_grad)
        parts = _outermost(params_without_grad, self._trained.difference(params_without_grad))
        return f"no gradient ever reached {_named(parts)} ({values:,} parameters)"

    def _is_certain(self, name: str) -> bool:
        """Whether what last steps show holds for all: stochastic depth passes layers over."""
        epochs, steps = self._state.params_without_grad[name]
        return steps >= MIN_STEPS and (self._optimizer_averages or epochs >= MIN_EPOCHS)


def frozen_loss(history: Sequence[HistoryRow]) -> str | None:
    """Where the training loss has not changed up to the end by more than rounding, if it has not.

    Epochs at the end of a schedule, with hardly any learning rate, do not count. Nor does a loss
    that came down to 0, where there is nothing left to learn.
    """
    peak = max((row["lr"] or 0.0 for row in history), default=0.0)
    counted = [row for row in history if (row["lr"] or 0.0) >= NEGLIGIBLE_LR * peak]
    losses = [row["train/loss"] or 0.0 for row in counted]
    same = 0
    while same < len(losses) and _is_close(losses[-1 - same], losses[-1]):
        same += 1
    if same < MIN_EPOCHS or (losses[-1] == 0 and same < len(losses)):
        return None
    first, last = counted[-same]["epoch"], counted[-1]["epoch"]
    return f"the training loss is {losses[-1]:.6g} in each epoch from {first} to {last}"


def _is_close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=ROUNDING_TOLERANCE)


def _below_baseline(
    select: SelectSettings, best: float | None, baseline: float | None
) -> str | None:
    """The comparison with the trivial prediction, where that is as good."""
    if best is None or baseline is None:
        return None
    better = best > baseline if select.mode == "max" else best < baseline
    if better and not _is_close(best, baseline):
        return None
    return f"the best {select.metric} is {best:.4g}, the trivial prediction's {baseline:.4g}"


def _from_scratch(norms: Mapping[str, _BatchNorm]) -> list[str]:
    """Those with a new BatchNorm's statistics, mean 0 and variance 1, moved by few batches if any.

    A model may have run in its constructor, to find its channels. Each batch leaves 1 - momentum of
    the variance at least, whereas learnt statistics have channels that vary far less than that.
    Weights published without a count of batches have one of 0, and other values than these two.
    """
    found = torch.stack([_is_from_scratch(n) for n in norms.values()]).tolist() if norms else []
    return [name for name, is_new in zip(norms, found, strict=True) if is_new]


def _is_from_scratch(norm: _BatchNorm) -> Tensor:
    mean, variance, batches = norm.running_mean, norm.running_var, norm.num_batches_tracked
    assert mean is not None  # it keeps statistics
    assert variance is not None
    assert batches is not None
    untouched = (mean == 0).all() & (variance == 1).all()
    # momentum may have been changed since; None is a plain mean, of which the first leaves nothing
    momentum = 1.0 if norm.momentum is None else max(norm.momentum, DEFAULT_MOMENTUM)
    left = (1 - momentum) ** batches * (1 - ROUNDING_TOLERANCE)
    return torch.where(batches == 0, untouched, (variance >= left).all())


def _with_nonzero_values(tensors: Mapping[str, Tensor | None]) -> set[str]:
    """The names of those that have any other value than 0; most show it in their first row."""
    known = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    found = _names_with_nonzero({name: t[0] if t.dim() else t for name, t in known.items()})
    return found | _names_with_nonzero({name: t for name, t in known.items() if name not in found})


def _names_with_nonzero(tensors: Mapping[str, Tensor]) -> set[str]:
    """The names of those that have any other value than 0; read back at once."""
    if not tensors:
        return set()
    largest = torch.stack(torch._foreach_norm(list(tensors.values()), math.inf)).tolist()
    return {name for name, value in zip(tensors, largest, strict=True) if value != 0}


def _outermost(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """The largest parts of a model that have parameters of `names` and none of `others`."""
    alive = {prefix for name in others for prefix in _prefixes(name)}
    parts = (next(p for p in _prefixes(name) if p not in alive) for name in names)
    return list(dict.fromkeys(parts))


def _prefixes(name: str) -> list[str]:
    """`a.b` → `` (the whole model), `a`, `a.b`."""
    path = name.split(".")
    return [".".join(path[:end]) for end in range(len(path) + 1)]


def _named(parts: Iterable[str]) -> str:
    """The first parts' names, and how many more there are."""
    names = [name or "the whole model" for name in parts]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _percent(part: float) -> str:
    return f"{100 * part:.3g}%"
