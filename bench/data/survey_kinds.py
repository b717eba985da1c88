"""What can be suspicious in a data set: kinds, what each means, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What was found."""

    NO_FOREGROUND = "no_foreground"
    MOSTLY_EMPTY = "mostly_empty"
    NOTHING_SCORED = "nothing_scored"
    MOSTLY_IGNORED = "mostly_ignored"
    UNKNOWN_VALUES = "unknown_values"
    MISSING_CLASS = "missing_class"
    INVERTED = "inverted"
    RARE_CLASS = "rare_class"
    IMBALANCED = "imbalanced"
    SHARED_IMAGES = "shared_images"
    SHARED_BY_FOLDS = "shared_by_folds"
    SHARED_GROUPS = "shared_groups"
    SHARED_NAMES = "shared_names"
    FEW_IMAGES = "few_images"
    BLANK_IMAGES = "blank_images"
    NARROW_RANGE = "narrow_range"
    SPLITS_DIFFER_IN_RANGE = "splits_differ_in_range"
    MIXED_DEPTH = "mixed_depth"
    GREY_AS_COLOUR = "grey_as_colour"
    SPLITS_DIFFER_IN_COLOUR = "splits_differ_in_colour"
    CLIPPED = "clipped"
    ORIENTATION = "orientation"
    ORIENTATION_IGNORED = "orientation_ignored"
    SEVERAL_PAGES = "several_pages"
    ENLARGED = "enlarged"
    STRETCHED = "stretched"


@dataclass(frozen=True)
class Advice:
    """A kind in words.

    Attributes:
        meaning: why it matters.
        remedy: what to do about it.
        serious: whether it can make results worthless, so that it comes first; else a remark.
    """

    meaning: str
    remedy: str
    serious: bool = True


ADVICE: Mapping[Kind, Advice] = {
    Kind.NO_FOREGROUND: Advice(
        "a model that always predicts background is perfect there, so scores say nothing",
        "check that data.masks is the right folder and that `values:` are the pixel values of its "
        "masks, or share the images out anew",
    ),
    Kind.MOSTLY_EMPTY: Advice(
        "a model that always predicts background is right on each of them, which raises the mean "
        "score",
        "compare with the trivial prediction's score, or leave empty masks out of it with "
        "task.empty_mask: missing",
    ),
    Kind.NOTHING_SCORED: Advice(
        "they have no score, and nothing is learnt from them",
        "check `ignore:`, or take them out of the data set",
    ),
    Kind.MOSTLY_IGNORED: Advice(
        "scores are those of the smaller part of each image",
        "check that the value in `ignore:` is no class's",
    ),
    Kind.UNKNOWN_VALUES: Advice(
        "they can be neither trained on nor scored",
        "labels, and values of masks, are 0 to K-1 for K classes, and 255 where a mask is to be "
        "ignored: mend the data set",
    ),
    Kind.MISSING_CLASS: Advice(
        "a class that training lacks is never learnt, and one that another split lacks has no "
        "score there: its column is empty",
        "share the images out anew, or leave the class out of the spec",
    ),
    Kind.INVERTED: Advice(
        "foreground that fills nearly everything often is background: inverted masks, or values "
        "in the wrong order",
        "look at a mask, and exchange the classes' values in `values:` if it is inverted",
    ),
    Kind.RARE_CLASS: Advice(
        "a pixel-wise loss hardly notices it",
        "a loss that looks at each class helps (train.loss: dice, or cross_entropy+dice)",
        serious=False,
    ),
    Kind.IMBALANCED: Advice(
        "accuracy is mostly that of the frequent classes",
        "look at the confusion matrix, not at top-1 alone",
        serious=False,
    ),
    Kind.SHARED_IMAGES: Advice(
        "scores on that split are better than on images never seen",
        "take them out of one of the splits",
    ),
    Kind.SHARED_BY_FOLDS: Advice(
        "scores of cross-validation are better than on images never seen",
        "take one of each out, or give them one group (data.folds.group)",
    ),
    Kind.SHARED_GROUPS: Advice(
        "images of one group resemble each other, so scores are better than on groups never seen",
        "give each group to one split",
    ),
    Kind.SHARED_NAMES: Advice(
        "the same image may be in both, or a result be laid at the wrong image's door",
        "give every image a name of its own",
    ),
    Kind.FEW_IMAGES: Advice(
        "single images decide the mean score, whatever the number of seeds",
        "use more images for the split, or make no claim from it",
    ),
    Kind.BLANK_IMAGES: Advice(
        "there is nothing to be seen in them",
        "look at the files, and take out those that are broken",
    ),
    Kind.NARROW_RANGE: Advice(
        "the images enter the network with little contrast, or almost constant",
        "check that the files are images and not masks; data.window: percentiles or [low, high] "
        "says which values are black and white",
    ),
    Kind.SPLITS_DIFFER_IN_RANGE: Advice(
        "the network meets images there that are much darker or brighter than those it learns from",
        "store all splits on the same scale",
    ),
    Kind.MIXED_DEPTH: Advice(
        "the same grey may mean different things in files of different depth",
        "store all images with the same depth",
    ),
    Kind.GREY_AS_COLOUR: Advice(
        "its three channels are copies of one; weights trained on colour see grey photos",
        "nothing, if they are meant to be grey",
        serious=False,
    ),
    Kind.SPLITS_DIFFER_IN_COLOUR: Advice(
        "a model that learns from one sort is scored on the other",
        "share colour and grey images out alike",
    ),
    Kind.ORIENTATION: Advice(
        "they are turned as a viewer shows them; masks must be drawn on the picture as seen",
        "look at the pictures of a trained trial, if masks were made by other software",
        serious=False,
    ),
    Kind.ORIENTATION_IGNORED: Advice(
        "they are used as stored, not as a viewer shows them (data.exif: ignore)",
        "right only where masks were drawn on the stored pixels",
        serious=False,
    ),
    Kind.CLIPPED: Advice(
        "they all become black or all white, so what differs among them is lost",
        "nothing, if it is meant to be; else widen data.window",
        serious=False,
    ),
    Kind.SEVERAL_PAGES: Advice(
        "one page of each is used",
        "check that it is the right one (data.page)",
        serious=False,
    ),
    Kind.ENLARGED: Advice(
        "enlarging adds no detail and costs time",
        "a smaller data.image_size sees as much",
        serious=False,
    ),
    Kind.STRETCHED: Advice(
        "images are stretched to a square, so shapes in them are distorted by more than two",
        "crop or pad the files to a square, if shape matters",
        serious=False,
    ),
}
