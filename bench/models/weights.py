"""Weights that a model starts with: torchvision's own, a file's, or an earlier trial's."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlparse

import torch
from torch import Tensor, nn
from torchvision import models

from bench.errors import DataError, SpecError, StoreError, first_line
from bench.models.weights_settings import ResolvedWeights
from bench.safe_files import open_plain

VERSION = "IMAGENET1K_V1"
"""Which of torchvision's weights `imagenet` is: every network has this set, and it stays what it
is, while `DEFAULT` moves to a better one with a new version of torchvision."""

_PREFIX = "encoder."
_COUNTER = "num_batches_tracked"  # not in every file of torchvision's; nothing depends on it

State = Mapping[str, Tensor]


class Match(NamedTuple):
    """Which tensors of a source go where.

    Attributes:
        names: the source's name of each of the model's tensors that is loaded.
        what: how much of the model that is, in words.
    """

    names: dict[str, str]
    what: str


def load(model: nn.Module, weights: ResolvedWeights) -> str:
    """Put the weights into the model; says in one line what was loaded.

    Raises:
        DataError: the file is missing or unreadable.
        SpecError: the weights do not fit the model.
    """
    found = read(Path(weights.file), weights.owner)
    match = match_weights(model, found, weights)
    state, how = with_adapted_input(model.state_dict(), found)
    model.load_state_dict({own: state[name] for own, name in match.names.items()}, strict=False)
    loaded = f"{match.what} ({len(match.names)} tensors)"
    return f"Starting from {weights.exactly}: {loaded}{f', {how}' if how else ''}."


def read(path: Path, owner: str | None = None) -> dict[str, Tensor]:
    """The state dict in a file: a checkpoint of ours (its `model`), or a plain one.

    A checkpoint that says of which trial it is has to be of `owner`, if that is given; such a file
    is a part of a record, which is not read through a link.

    Raises:
        DataError: the file is missing, damaged, holds code, no state dict, or another trial's.
    """
    try:
        # A trial's checkpoint can be somebody else's; a file that the user names may be a link.
        with path.open("rb") if owner is None else open_plain(path) as file:
            found = torch.load(file, map_location="cpu", weights_only=True)
    except StoreError as error:
        raise DataError(str(error)) from error
    except FileNotFoundError:
        raise DataError(f"{path}: no such file of weights") from None
    except Exception as error:  # torch raises half a dozen kinds for a damaged file
        raise DataError(f"{path}: not a readable file of weights ({first_line(error)})") from error
    state = found.get("model", found) if isinstance(found, dict) else None
    if owner is not None and isinstance(found, dict) and found.get("identity", owner) != owner:
        raise DataError(f"{path}: the checkpoint of another trial: restore it")
    if not isinstance(state, dict) or not state or not all(map(torch.is_tensor, state.values())):
        raise DataError(f"{path}: holds no state dict; save `model.state_dict()`")
    return dict(state)


def imagenet(encoder: str) -> Any:
    """torchvision's enum member of a network's weights; its text is its full name."""
    return models.get_model_weights(encoder)[VERSION]


def imagenet_file(encoder: str) -> Path:
    """Where torchvision's weights lie, or would: in torch.hub's cache."""
    name = Path(urlparse(imagenet(encoder).url).path).name
    return Path(torch.hub.get_dir()) / "checkpoints" / name


def imagenet_shapes(encoder: str) -> dict[str, Tensor]:
    """A state dict of the shapes in torchvision's weights, without values and without the file."""
    options = {"init_weights": False} if encoder == "inception_v3" else {}
    with torch.device("meta"):
        found: dict[str, Tensor] = models.get_model(encoder, weights=None, **options).state_dict()
    return found


def fetch_imagenet(encoder: str) -> None:
    """Download torchvision's weights unless they are there.

    Raises:
        DataError: they cannot be had; says which file to put where.
    """
    url, file = imagenet(encoder).url, imagenet_file(encoder)
    if file.exists():
        return
    expected = file.stem.rpartition("-")[2]  # the first digits of its SHA-256
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), hash_prefix=expected, progress=True)
    except (OSError, urllib.error.URLError, RuntimeError) as error:
        raise DataError(
            f"the weights {imagenet(encoder)} are not there and cannot be downloaded "
            f"({first_line(error)}): get {url} and put it at {file}"
        ) from error


def match_weights(model: nn.Module, found: State, weights: ResolvedWeights) -> Match:
    """What of `found` goes into the model: all of it, all but the output layer, or the encoder.

    A first convolution of other channels is adapted (`with_adapted_input`).

    The whole model is taken where all names and shapes agree, which ImageNet's classifier never
    does. The encoder's names agree with or without `encoder.` in front, so that a classifier's
    trunk goes into the encoder of another model.

    Raises:
        SpecError: a tensor of the encoder (of the model, where it has none) is missing in `found`
            or has another shape; names the first.
    """
    own = model.state_dict()
    found, _ = with_adapted_input(own, found)
    encoder = encoder_names(model)
    if weights.source != "imagenet" or not encoder:
        left = [name for name in _needed(own) if not _fits(own, found, name, name)]
        names = {name: name for name in own if _fits(own, found, name, name)}
        if not left:
            return Match(names, "the whole model")
        if set(left) <= set(_output_layer(own)):
            kept = set(_output_layer(own))
            names = {name: name for name in names if name not in kept}
            return Match(names, "all but the output layer")
        if not encoder:
            raise _mismatch_error(own, found, left[0], left[0], weights)
    spellings = [
        {name: name for name in encoder},
        {name: name.removeprefix(_PREFIX) for name in encoder},
        {name: _PREFIX + name for name in encoder},
    ]
    names = max(spellings, key=lambda spelling: sum(name in found for name in spelling.values()))
    for name in _needed(encoder):
        if not _fits(own, found, name, names[name]):
            raise _mismatch_error(own, found, name, names[name], weights)
    return Match({name: names[name] for name in encoder if names[name] in found}, "the encoder")


def with_adapted_input(own: State, found: State) -> tuple[State, str]:
    """`found` with a first convolution of as many input channels as the model's; and how, if so.

    The source's channels are repeated in order and scaled by their share, so that equal channels
    give what they gave before; one channel gets the sum of all (as timm's `adapt_input_conv`).
    """
    first = next((name for name, tensor in own.items() if tensor.dim() == 4), None)
    if first is None:
        return found, ""
    for there in (first, first.removeprefix(_PREFIX), _PREFIX + first):
        if there not in found or found[there].dim() != 4:
            continue
        wanted, weight = own[first].shape[1], found[there]
        given = weight.shape[1]
        same = weight.shape[0] == own[first].shape[0] and weight.shape[2:] == own[first].shape[2:]
        if given == wanted or not same:
            return found, ""
        if wanted == 1:
            adapted, how = weight.sum(1, keepdim=True), "summed"
        else:
            repeated = weight.repeat(1, -(-wanted // given), 1, 1)[:, :wanted]
            adapted, how = repeated * (given / wanted), f"repeated, times {given}/{wanted}"
        line = f"the first layer adapted from {given} to {wanted} channels ({how})"
        return {**found, there: adapted}, line
    return found, ""


def encoder_names(model: nn.Module) -> list[str]:
    """The names of the encoder's tensors in the model's state dict; none without an encoder."""
    if not hasattr(model, "encoder_parts"):
        return []
    parts: dict[str, list[nn.Module]] = model.encoder_parts()  # type: ignore[operator]  # a method
    inside = {
        id(tensor)
        for modules in parts.values()
        for module in modules
        for tensor in module.state_dict(keep_vars=True).values()
    }
    return [
        name for name, tensor in model.state_dict(keep_vars=True).items() if id(tensor) in inside
    ]


def _needed(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.endswith(_COUNTER)]


def _output_layer(own: State) -> list[str]:
    """The names in the last layer that has any."""
    layer = list(own)[-1].rpartition(".")[0] + "."
    return [name for name in own if name.startswith(layer)]


def _fits(own: State, found: State, name: str, there: str) -> bool:
    return there in found and found[there].shape == own[name].shape


def _mismatch_error(
    own: State, found: State, name: str, there: str, weights: ResolvedWeights
) -> SpecError:
    if there not in found:
        message = f"{weights.exactly} has no {there}, which the model needs"
    else:
        message = (
            f"{there} is {_size(found[there])} in {weights.exactly} and {_size(own[name])} in the "
            "model; width and layers must be the same"
        )
    return SpecError(message, key="model.weights")


def _size(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"
