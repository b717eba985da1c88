"""What a spec can say of losses, without importing torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from bench.registry import Custom, name_as_mapping, part_tag
from bench.settings import Settings, added_later

LossName = Literal[
    "cross_entropy", "dice", "cross_entropy+dice", "focal", "binary_cross_entropy", "mse", "own"
]
OWN_LOSS = "own"
"""That of a task of the user's own, which it is not handed."""
MEANS = frozenset({"cross_entropy", "focal", "binary_cross_entropy", "mse", OWN_LOSS})
"""Those that are means over pixels, labels or images: parts of a batch add up to the whole."""
WEIGHTED = frozenset({"cross_entropy", "cross_entropy+dice", "focal", "binary_cross_entropy"})
"""Those that `train.class_weights` weights."""
PartWeight = Annotated[float, Field(gt=0)]


class NamedLoss(Settings):
    """One of ours in a sum of losses."""

    name: LossName = Field(description="which")
    weight: PartWeight = Field(1.0, description="factor of this loss in the sum")


class CustomLoss(Custom):
    """A loss of the user's own, or of another package, with its arguments.

    A class is called with the arguments; so is a function that makes a loss. A function that itself
    takes predictions and targets is the loss, the arguments being keywords.
    """

    weight: PartWeight | Annotated[tuple[float, ...], Field(strict=False)] = added_later(
        1.0,
        argument=False,
        description="a number: factor of this loss in the sum; a list: the loss's own argument "
        "`weight`, a number for each class",
    )
    targets: Literal["auto", "labels", "channel", "one_hot"] = added_later(
        "auto",
        argument=False,
        description="what the loss is compared with: labels (B, H, W) int64; channel: the same as "
        "(B, 1, H, W); one_hot (B, K, H, W) float; auto: MONAI's own convention, else labels, and "
        "channel where predictions have one channel",
    )
    predictions: Literal["auto", "scores", "probabilities", "logit"] = added_later(
        "auto",
        argument=False,
        description="scores (B, K, H, W) before softmax; probabilities after it; logit: (B, 1, H, "
        "W), of the second of two classes; auto: scores, or the logit that the model gives",
    )

    @property
    def factor(self) -> float:
        """Of this loss in the sum."""
        return self.weight if isinstance(self.weight, int | float) else 1.0


LossTerm = NamedLoss | CustomLoss


def _tag(value: Any) -> str:
    found = part_tag(value)
    return found if found in ("target", "list", "name") else "mapping"


def _plain(value: Any) -> Any:
    """One spelling for one loss: `[dice]` and `{name: dice}` are `dice`."""
    if isinstance(value, list | tuple) and len(value) == 1:
        (value,) = value
    if isinstance(value, dict) and "name" in value and value.get("weight", 1) == 1:
        rest = set(value) - {"name", "weight"}
        return value if rest else value["name"]
    return value


_Term = Annotated[
    Annotated[
        Annotated[NamedLoss, Tag("mapping")] | Annotated[CustomLoss, Tag("target")],
        Discriminator(_tag),
    ],
    BeforeValidator(name_as_mapping),
]
Loss = Annotated[
    Annotated[
        Annotated[LossName, Tag("name")]
        | Annotated[NamedLoss, Tag("mapping")]
        | Annotated[CustomLoss, Tag("target")]
        | Annotated[tuple[_Term, ...], Field(min_length=1, strict=False), Tag("list")],
        Discriminator(_tag),
    ],
    BeforeValidator(_plain),
]
"""A loss's name, `{name: …, weight: …}`, `{target: …}`, or a list of these, which are added up."""


def loss_terms(loss: LossName | LossTerm | tuple[LossTerm, ...]) -> tuple[LossTerm, ...]:
    """The losses that are added up: one, mostly."""
    if isinstance(loss, str):
        return (NamedLoss(name=loss),)
    return loss if isinstance(loss, tuple) else (loss,)


def loss_text(loss: LossName | LossTerm | tuple[LossTerm, ...]) -> str:
    """A loss as messages name it: `dice`, `monai.losses:TverskyLoss`, `2·dice + focal`."""
    if isinstance(loss, str):
        return loss
    texts = []
    for term in loss_terms(loss):
        factor = term.weight if isinstance(term, NamedLoss) else term.factor
        name = term.name if isinstance(term, NamedLoss) else term.target
        texts.append(name if factor == 1 else f"{factor:g}·{name}")
    return " + ".join(texts)
