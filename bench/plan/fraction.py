"""Two-level fractional factorial designs: which runs there are, and what cannot be told apart.

The generators are the usual ones of minimum aberration (Montgomery, Design and Analysis of
Experiments, table of 2^(k−p) designs). pyDOE3 makes the runs and finds the aliases; its own choice
by resolution is not used: asked for V with 7 to 11 factors it gives IV, and it has none of the
half fractions of 3, 4 and 5.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bench.spec.design import Resolution

_OF_SMALL_RESOLUTION = {
    3: "a b ab",
    4: "a b c abc",
    5: "a b c ab ac",
    6: "a b c ab ac bc",
    7: "a b c ab ac bc abc",
    8: "a b c d bcd acd abc abd",
    9: "a b c d abc bcd acd abd abcd",
    10: "a b c d abc bcd acd abd abcd ab",
    11: "a b c d abc bcd acd abd abcd ab ac",
}
_OF_FOUR = {
    4: "a b c abc",
    5: "a b c d abcd",
    6: "a b c d abc bcd",
    7: "a b c d abc bcd acd",
    8: "a b c d bcd acd abc abd",
    9: "a b c d e bcde acde abde abce",
    10: "a b c d e abcd abce abde acde bcde",
    11: "a b c d e abc bcd cde acd ade bde",
}
_OF_FIVE = {
    5: "a b c d abcd",
    6: "a b c d e abcde",
    7: "a b c d e f abcdef",
    8: "a b c d e f abcd abef",
    9: "a b c d e f g acdfg bcefg",
    10: "a b c d e f g abcg bcde acdf",
    11: "a b c d e f g abcg bcde acdf abcdefg",
}
GENERATORS: dict[Resolution, dict[int, str]] = {
    "III": _OF_SMALL_RESOLUTION,
    "IV": _OF_FOUR,
    "V": _OF_FIVE,
}
"""By resolution at least and number of factors: the fewest runs, a letter a factor."""
MOST_FACTORS = 11

Effect = tuple[str, ...]
"""A component, or the components of an interaction."""


@dataclass(frozen=True)
class Fraction:
    """A fraction of all combinations of two-level components.

    Attributes:
        components: their names.
        resolution: that was asked for.
    """

    components: tuple[str, ...]
    resolution: Resolution

    def __post_init__(self) -> None:
        if len(self.components) not in GENERATORS[self.resolution]:
            raise ValueError(_no_fraction(len(self.components), self.resolution))

    @cached_property
    def signs(self) -> npt.NDArray[np.int8]:
        """(runs, components), 1 where a component is on and −1 where it is off."""
        from pyDOE3 import fracfact  # imports scipy

        made = fracfact(GENERATORS[self.resolution][len(self.components)])
        return np.asarray(made, dtype=np.int8)

    @property
    def generators(self) -> tuple[str, ...]:
        """`E = A × B × C`, in the components' names."""
        letters = dict(zip(string.ascii_lowercase, self.components, strict=False))
        words = GENERATORS[self.resolution][len(self.components)].split()
        return tuple(
            f"{name} = {' × '.join(letters[letter] for letter in word)}"
            for name, word in zip(self.components, words, strict=True)
            if len(word) > 1
        )

    @cached_property
    def alias_sets(self) -> tuple[tuple[Effect, ...], ...]:
        """Main effects and interactions of two components by the runs in which they are told apart.

        The members of a set have one estimate: the sum of their effects. Interactions of three
        components and more are taken to be small, as always with fractions, and are left out.
        """
        from pyDOE3 import fracfact_aliasing

        names = dict(zip(string.ascii_lowercase, self.components, strict=False))
        found = []
        for text in fracfact_aliasing(self.signs.astype(float))[0]:
            words = [word for word in text.split(" = ") if len(word) <= 2]
            if words:
                found.append(tuple(tuple(names[letter] for letter in word) for word in words))
        return tuple(found)

    def aliases(self, effect: Effect) -> tuple[Effect, ...]:
        """What an effect is confounded with, of main effects and interactions of two."""
        mine = next(each for each in self.alias_sets if effect in each)
        return tuple(other for other in mine if other != effect)


def effect_name(effect: Sequence[str]) -> str:
    """`augmentation × cosine schedule`."""
    return " × ".join(effect)


def _no_fraction(components: int, resolution: Resolution) -> str:
    fewest = min(GENERATORS[resolution])
    if components > MOST_FACTORS:
        return (
            f"{components} components are too many: there are fractions of up to {MOST_FACTORS}; "
            "use leave_one_out, or fewer components"
        )
    smaller = [r for r in GENERATORS if components in GENERATORS[r]]
    instead = f"{smaller[-1]}, or " if smaller else ""
    return (
        f"there is no fraction of resolution {resolution} of {components} components, it takes "
        f"{fewest}: use {instead}a grid of their {2**components} combinations"
    )
