"""Colours that data sets of the field give to their classes in masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ColourPalette:
    """The colours of a data set's masks.

    Attributes:
        classes: each class's colour `#rrggbb`, in the data set's order.
        unscored: colours of what belongs to no class.
    """

    classes: Mapping[str, str]
    unscored: tuple[str, ...] = ()


def hex_colour(red: int, green: int, blue: int) -> str:
    """`#ff8000` of 255, 128, 0."""
    return f"#{red:02x}{green:02x}{blue:02x}"


def voc_colour(number: int) -> str:
    """The colour of an index in the masks of PASCAL VOC: its bits, spread over the channels.

    Bits 0, 1 and 2 are the highest bits of red, green and blue, bits 3, 4 and 5 the next ones.
    """
    levels = [
        sum((number >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3))
        for channel in range(3)
    ]
    return hex_colour(*levels)


_VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
VOC = ColourPalette(
    {name: voc_colour(number) for number, name in enumerate(_VOC_NAMES)},
    (voc_colour(255),),  # borders and difficult objects
)
"""PASCAL VOC (Everingham et al. 2010), 20 objects and the background."""

# the class, the number in `…_labelIds.png`, the colour in `…_color.png`
_CITYSCAPES = (
    ("road", 7, (128, 64, 128)), ("sidewalk", 8, (244, 35, 232)), ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)), ("fence", 13, (190, 153, 153)), ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)), ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)), ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)), ("person", 24, (220, 20, 60)), ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)), ("truck", 27, (0, 0, 70)), ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)), ("motorcycle", 32, (0, 0, 230)), ("bicycle", 33, (119, 11, 32)),
)  # fmt: skip
# ego vehicle and the like, dynamic, ground, parking, rail track, guard rail, bridge, tunnel,
# caravan, trailer; pole groups and license plates have the colours of poles and cars
_CITYSCAPES_UNSCORED = (
    (0, 0, 0), (111, 74, 0), (81, 0, 81), (250, 170, 160), (230, 150, 140), (180, 165, 180),
    (150, 100, 100), (150, 120, 90), (0, 0, 90), (0, 0, 110),
)  # fmt: skip
CITYSCAPES = ColourPalette(
    {name: hex_colour(*colour) for name, _, colour in _CITYSCAPES},
    tuple(hex_colour(*colour) for colour in _CITYSCAPES_UNSCORED),
)
"""Cityscapes (Cordts et al. 2016), the 19 classes that are evaluated."""
CITYSCAPES_IDS: Mapping[int, str] = {number: name for name, number, _ in _CITYSCAPES}
"""The classes of the values in `…_gtFine_labelIds.png`."""
CITYSCAPES_UNSCORED_IDS = tuple(n for n in range(35) if n not in CITYSCAPES_IDS)
"""Values there that are not evaluated; license plates are -1 or 34, in some versions 255."""

_CAMVID = (
    ("Animal", (64, 128, 64)), ("Archway", (192, 0, 128)), ("Bicyclist", (0, 128, 192)),
    ("Bridge", (0, 128, 64)), ("Building", (128, 0, 0)), ("Car", (64, 0, 128)),
    ("CartLuggagePram", (64, 0, 192)), ("Child", (192, 128, 64)), ("Column_Pole", (192, 192, 128)),
    ("Fence", (64, 64, 128)), ("LaneMkgsDriv", (128, 0, 192)), ("LaneMkgsNonDriv", (192, 0, 64)),
    ("Misc_Text", (128, 128, 64)), ("MotorcycleScooter", (192, 0, 192)),
    ("OtherMoving", (128, 64, 64)), ("ParkingBlock", (64, 192, 128)), ("Pedestrian", (64, 64, 0)),
    ("Road", (128, 64, 128)), ("RoadShoulder", (128, 128, 192)), ("Sidewalk", (0, 0, 192)),
    ("SignSymbol", (192, 128, 128)), ("Sky", (128, 128, 128)), ("SUVPickupTruck", (64, 128, 192)),
    ("TrafficCone", (0, 0, 64)), ("TrafficLight", (0, 64, 64)), ("Train", (192, 64, 128)),
    ("Tree", (128, 128, 0)), ("Truck_Bus", (192, 128, 192)), ("Tunnel", (64, 0, 64)),
    ("VegetationMisc", (192, 192, 0)), ("Wall", (64, 192, 0)),
)  # fmt: skip
CAMVID = ColourPalette({name: hex_colour(*c) for name, c in _CAMVID}, (hex_colour(0, 0, 0),))
"""CamVid (Brostow et al. 2009), 31 classes; black is void."""

PALETTES: Mapping[str, ColourPalette] = {"voc": VOC, "cityscapes": CITYSCAPES, "camvid": CAMVID}
