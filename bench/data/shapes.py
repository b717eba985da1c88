"""A procedural data set: textured animals on textured backgrounds, made without any download.

A scene is drawn in coordinates of its own (the picture is 0…1 across), so that one seed gives the
same scenes at every image size. Sample i of a split depends on (seed, split, i) and the look
settings alone, never on how many samples there are.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.data.assemble import Labelling, assemble
from bench.data.base import Array, Progress, Splits
from bench.data.cache import Recipe, Sample, cached
from bench.data.setting_types import Border, Normalize
from bench.data.settings import ShapesSettings
from bench.labels import IGNORE_LABEL

Field = npt.NDArray[np.floating[Any]]
"""Of numbers over the picture, or of colours; float32 in practice, for speed."""
Random = np.random.Generator
_STREAMS = {"train": 0, "val": 1, "test": 2}
_BORDER_HALF_WIDTH = 0.012  # of the picture; at least a pixel
_CANVAS = 96  # cells of the noise that every texture of a scene is cut from


@dataclass(frozen=True)
class Kind:
    """A kind of animal: its build, in units of the trunk's half length, and its coat.

    Attributes:
        trunk: half height of the trunk.
        leg: length of a leg.
        neck: distance of the head from the shoulder.
        head: radius of the head.
        ear: length of an ear.
        tail: length of the tail.
        hue: turn of the coat's colour, in turns.
        coat: fur, stripes, spots or patches.
    """

    trunk: float
    leg: float
    neck: float
    head: float
    ear: float
    tail: float
    hue: float
    coat: str


KINDS = (
    Kind(0.50, 0.55, 0.45, 0.42, 0.25, 0.80, 0.00, "fur"),
    Kind(0.62, 0.30, 0.25, 0.50, 0.42, 0.20, 0.03, "stripes"),
    Kind(0.40, 0.95, 0.85, 0.28, 0.22, 0.35, -0.03, "patches"),
    Kind(0.75, 0.25, 0.20, 0.36, 0.15, 0.10, 0.06, "spots"),
    Kind(0.32, 0.35, 0.30, 0.30, 0.12, 1.20, 0.09, "spots"),
    Kind(0.55, 0.60, 0.35, 0.40, 0.75, 0.15, -0.04, "fur"),
    Kind(0.80, 0.65, 0.35, 0.55, 0.45, 0.45, 0.05, "patches"),
    Kind(0.45, 0.80, 0.60, 0.34, 0.20, 0.90, -0.02, "stripes"),
)


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Animals on backgrounds; the settings are described in `ShapesSettings`."""

    image_size: int
    normalize: Normalize
    train: int
    val: int
    test: int
    kinds: int
    difficulty: float
    border: Border
    seed: int

    def prepare(self, progress: Progress | None = None) -> Splits:
        """Make all samples, or take them from the cache."""
        counts = {"train": self.train, "val": self.val, "test": self.test}
        names = {split: tuple(f"{split}{i:05d}" for i in range(n)) for split, n in counts.items()}

        def samples() -> Iterator[Sample]:
            return (self.sample(split, i) for split, n in counts.items() for i in range(n))

        # The program's own text is in the key: another generator never meets older samples.
        source = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        key = {"generator": source, "numpy": np.__version__, **asdict(self)}
        del key["normalize"]
        everyone = tuple(name for members in names.values() for name in members)
        arrays = cached(
            Recipe(key, everyone, (self.image_size, self.image_size), samples), progress
        )
        settings = ShapesSettings(kinds=self.kinds)
        labelling = None
        if kinds := settings.label_names():
            of = {n: i % self.kinds for members in names.values() for i, n in enumerate(members)}
            labelling = Labelling(kinds, of)
        return assemble(arrays, names, settings.class_names(), labelling=labelling)

    def sample(self, split: str, index: int) -> Sample:
        """Image (size, size, 3) and mask (size, size) of one sample."""
        random = np.random.default_rng([self.seed, _STREAMS[split], index])
        # With one kind, all builds occur in the one class; with more, they take turns.
        kind = (
            KINDS[int(random.integers(len(KINDS)))]
            if self.kinds == 1
            else KINDS[index % self.kinds]
        )
        label = 1 if self.kinds == 1 else index % self.kinds + 1
        scene = Scene(random, self.image_size)
        distance, depth = scene.animal(kind)
        image = scene.paint(kind, distance, depth, self.difficulty)
        return image, _mask(distance, label, self.border, self.image_size)


def _mask(distance: Field, label: int, border: Border, size: int) -> Array:
    """Classes from the signed distance, with the ring about the outline as `border` says."""
    ring_label = {"foreground": label, "ignore": IGNORE_LABEL, "background": 0}[border]
    half_width = max(_BORDER_HALF_WIDTH, 1 / size)
    mask = np.where(distance < 0, label, 0)
    return np.where(np.abs(distance) < half_width, ring_label, mask).astype(np.uint8)


class Scene:
    """One picture in the making: pixel coordinates, and noise to cut textures from."""

    def __init__(self, random: Random, size: int) -> None:
        self.random, self.size = random, size
        line = (np.arange(size, dtype=np.float32) + 0.5) / size
        self.x, self.y = np.meshgrid(line, line)
        canvas = random.standard_normal((_CANVAS, _CANVAS)).astype(np.float32)
        self.canvas = Image.fromarray(canvas)

    def noise(self, across: float, down: float | None = None, turn: float = 0.0) -> Field:
        """Smooth noise with so many cells over the picture each way, turned by `turn` radians."""
        down = across if down is None else down
        cos, sin = math.cos(turn), math.sin(turn)
        a, b, c, d = across * cos, across * sin, -down * sin, down * cos
        # Anywhere on the canvas from which the turned picture does not reach over its edge.
        x0 = self._somewhere((abs(a) + abs(b)) / 2) - (a + b) / 2
        y0 = self._somewhere((abs(c) + abs(d)) / 2) - (c + d) / 2
        n = self.size
        # Cells so small that their shape cannot be seen take the cheaper interpolation.
        coarse = min(across, down) < n / 8
        cut = self.canvas.transform(
            (n, n),
            Image.Transform.AFFINE,
            (a / n, b / n, x0, c / n, d / n, y0),
            Image.Resampling.BICUBIC if coarse else Image.Resampling.BILINEAR,
        )
        return np.asarray(cut)

    def _somewhere(self, reach: float) -> float:
        return float(self.random.uniform(reach + 2, _CANVAS - reach - 2))

    def animal(self, kind: Kind) -> tuple[Field, Field]:
        """Signed distance to the outline (negative inside, 1 = the picture) and the side seen.

        The second is the height above the trunk's axis in units of its half length, for shading.
        """
        random = self.random
        unit = float(random.uniform(0.20, 0.31)) / (0.55 + 0.75 * kind.trunk)
        turn = float(random.normal(0, 0.15))
        centre = 0.5 + random.uniform(-0.09, 0.09, 2)
        mirror = 1.0 if random.random() < 0.5 else -1.0
        cos, sin = math.cos(turn) / unit, math.sin(turn) / unit
        x, y = self.x - float(centre[0]), self.y - float(centre[1])
        u, v = (cos * x + sin * y) * mirror, cos * y - sin * x
        parts = _parts(kind, random)
        distance = _smooth_union(u, v, parts) * unit
        ruffled = distance + 0.006 * self.noise(24)
        return ruffled, v

    def paint(self, kind: Kind, distance: Field, height: Field, difficulty: float) -> Array:
        """The picture (size, size, 3): background, distractors, shadow, animal."""
        random = self.random
        ground = _ground_colours(random, difficulty)
        coat = _coat_colours(random, kind, ground, difficulty)
        image = self._background(ground, coat, difficulty)
        shade = np.clip(-distance / 0.07, 0, 1)
        light = 0.78 + 0.22 * shade - 0.16 * np.clip(height, -1, 1)
        animal = self._coat(kind, coat) * light[..., None]
        alpha = 1 / (1 + np.exp(np.clip(distance * (2.0 * self.size), -30, 30)))
        image += alpha[..., None] * (animal - image)
        image += random.normal(0, 0.015, image.shape[:2]).astype(np.float32)[..., None]
        return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)

    def _background(self, ground: Field, coat: Field, difficulty: float) -> Field:
        """Two colours mixed by a slope and noise of several scales, and blobs upon it."""
        random = self.random
        way = random.uniform(0, 2 * math.pi)
        slope = math.cos(way) * (self.x - 0.5) + math.sin(way) * (self.y - 0.5)
        mix = 0.5 + slope + 0.25 * self.noise(3) + 0.12 * self.noise(9)
        image = _mix(ground[0], ground[1], np.clip(mix, 0, 1))
        grain = self.noise(random.uniform(18, 40), random.uniform(6, 40), random.uniform(0, 3.14))
        image += (0.05 * grain + 0.04 * self.noise(30))[..., None]
        rough, streaks = self.noise(8), 0.06 * self.noise(28, 12, way)
        for _ in range(int(random.integers(2, 6))):
            colour = self._distractor_colour(ground[0], coat[0], difficulty)
            alpha = self._blob(0.3 * rough)
            image += alpha[..., None] * (colour + streaks[..., None] - image)
        return image

    def _distractor_colour(self, ground: Field, coat: Field, difficulty: float) -> Field:
        """The harder, the more a distractor is coloured like the animal."""
        own = ground + self.random.normal(0, 0.07, 3)
        like = difficulty * self.random.uniform(0.3, 1.0)
        return (own + like * (coat - own)).astype(np.float32)

    def _blob(self, rough: Field) -> Field:
        """Opacity of an ellipse somewhere, its edge moved by `rough`."""
        random = self.random
        (cx, cy), (a, b) = random.uniform(0, 1, 2).tolist(), random.uniform(0.03, 0.13, 2).tolist()
        turn = random.uniform(0, math.pi)
        cos, sin = math.cos(turn), math.sin(turn)
        x, y = self.x - cx, self.y - cy
        u, v = (cos * x + sin * y) / a, (cos * y - sin * x) / b
        opacity: Field = np.clip(6 * (1 - u * u - v * v + rough), 0, 1)
        return opacity

    def _coat(self, kind: Kind, coat: Field) -> Field:
        """The animal's surface: two colours in its kind's pattern, and fur along the body."""
        turn = self.random.normal(0, 0.3)
        match kind.coat:
            case "stripes":
                wave = np.sin(70 * self.x + 2.5 * self.noise(5)) + 0.4 * self.noise(14)
            case "spots":
                wave = 2.2 * self.noise(15) - 0.9
            case "patches":
                wave = 2.5 * self.noise(5)
            case _:
                wave = 0.6 * self.noise(4) + 0.3 * self.noise(12) - 0.6
        surface = _mix(coat[0], coat[1], np.clip(0.5 + wave, 0, 1))
        return surface + (0.07 * self.noise(12, 44, turn) + 0.03 * self.noise(44))[..., None]


def _parts(kind: Kind, random: Random) -> Field:
    """The ellipses of an animal that looks to the right: (n, 5) of x, y, half axes, turn."""
    lift = random.uniform(-0.15, 0.45)
    shoulder = np.array([0.75, -0.25 * kind.trunk])
    nod = random.uniform(-0.9, 0.1)
    head = shoulder + kind.neck * np.array([np.cos(nod), np.sin(nod)]) + np.array([0.15, -0.1])
    parts = [
        (0.0, 0.0, 1.0, kind.trunk, 0.0),
        (-0.55, -0.03, 0.55, kind.trunk * 0.95, 0.0),
        (*((shoulder + head) / 2), 0.55 * kind.neck + 0.2, 0.26, nod),
        (*head, kind.head, kind.head * 0.88, 0.0),
        (head[0] + 0.75 * kind.head, head[1] + 0.18, 0.45 * kind.head, 0.34 * kind.head, 0.2),
    ]
    for at in (-0.25, 0.30):
        tip = head + np.array([at * kind.head, -kind.head * 0.75 - kind.ear * 0.4])
        parts.append((*tip, kind.ear * 0.75, 0.11 + 0.12 * kind.ear, -1.45 + 0.5 * at))
    stride = random.uniform(-0.35, 0.35)
    for at, step in ((-0.80, stride), (-0.55, -stride), (0.50, stride), (0.75, -stride)):
        middle = np.array([at, kind.trunk * 0.55]) + kind.leg / 2 * np.array([step, 1.0])
        parts.append((*middle, kind.leg / 2 + 0.30, 0.15, np.pi / 2 - step * 0.8))
    tail = np.array([-0.95, -0.3 * kind.trunk]) + kind.tail / 2 * np.array([-1.0, -lift * 1.5])
    parts.append((*tail, kind.tail / 2 + 0.15, 0.10, np.arctan(lift * 1.5)))
    return np.array(parts, np.float32)


def _smooth_union(u: Field, v: Field, parts: Field) -> Field:
    """About the signed distance to the union of ellipses, with rounded joints."""
    x, y, a, b, turn = (column[:, None, None] for column in parts.T)
    cos, sin = np.cos(turn), np.sin(turn)
    du, dv = u - x, v - y
    along, over = (cos * du + sin * dv) / a, (cos * dv - sin * du) / b
    # First-order distance to an ellipse: f / |grad f| of f = |(along, over)| - 1.
    radius = np.sqrt(along**2 + over**2) + np.float32(1e-6)
    slope = np.sqrt((along / a) ** 2 + (over / b) ** 2) / radius + np.float32(1e-6)
    distance = (radius - 1) / slope
    sharpness = np.float32(14)
    total = np.exp(np.clip(-sharpness * distance, -60, 20)).sum(axis=0)
    union: Field = -np.log(total + np.float32(1e-20)) / sharpness
    return union


def _ground_colours(random: Random, difficulty: float) -> Field:
    """Two background colours (2, 3): cold when easy, any natural colour when hard."""
    cold = _colour(random.uniform(0.27, 0.62), random.uniform(0.2, 0.5), random.uniform(0.3, 0.6))
    natural = _colour(
        random.uniform(0.03, 0.62), random.uniform(0.1, 0.4), random.uniform(0.3, 0.7)
    )
    first = cold + difficulty * (natural - cold)
    second = first * random.uniform(0.65, 1.35) + random.normal(0, 0.03, 3)
    return np.stack([first, second]).astype(np.float32)


def _coat_colours(random: Random, kind: Kind, ground: Field, difficulty: float) -> Field:
    """The coat's two colours (2, 3): warm and bright when easy, near the ground's when hard."""
    hue = 0.06 + kind.hue + random.uniform(-0.025, 0.025)
    own = _colour(hue % 1, random.uniform(0.4, 0.75), random.uniform(0.65, 0.95))
    camouflage = ground.mean(axis=0) * random.uniform(0.85, 1.15)
    base = own + 0.92 * difficulty**0.6 * (camouflage - own)
    marks = base * random.choice([0.6, 0.7, 1.3])
    return np.stack([base, marks]).astype(np.float32)


def _colour(hue: float, saturation: float, value: float) -> Field:
    """Red, green, blue of a hue (in turns), saturation and value, all 0…1."""
    k = (np.array([5.0, 3.0, 1.0]) + 6 * hue) % 6
    rgb = value * (1 - saturation * np.clip(np.minimum(k, 4 - k), 0, 1))
    return rgb.astype(np.float32)


def _mix(first: Field, second: Field, amount: Field) -> Field:
    """From colour `first` (amount 0) to `second` (amount 1): (H, W, 3)."""
    return first + amount[..., None] * (second - first)
