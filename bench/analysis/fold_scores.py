"""Out-of-fold scores: each seed has one score of every image, by the model that did not see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.image_scores import Scores32, SplitImages

Images = Mapping[str, SplitImages]


def joined_images(of_folds: Sequence[Images]) -> dict[str, SplitImages] | None:
    """The images that the folds of a seed validate, by name in order; and the test split.

    None where folds share an image, or have other test images.
    """
    names = [name for images in of_folds for name in images["val"].names]
    if len(set(names)) < len(names):
        return None
    tests = {images["test"] for images in of_folds if "test" in images}
    if len(tests) > 1:
        return None
    order = np.argsort(np.array(names, dtype=object), kind="stable")
    groups = [group for images in of_folds for group in images["val"].groups]
    known = tuple(groups[i] for i in order) if len(groups) == len(names) else ()
    val = SplitImages(tuple(names[i] for i in order), known)
    return {"val": val} | ({"test": tests.pop()} if tests else {})


def joined_scores(split: str, columns: Sequence[Scores32], of_folds: Sequence[Images]) -> Scores32:
    """(images,) scores of a seed, from those of its folds.

    Each validation image has that of its own fold, a test image the mean over the folds.
    """
    if split == "test":
        mean: Scores32 = np.stack(columns).mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean
    names = [name for images in of_folds for name in images[split].names]
    return np.concatenate(columns)[np.argsort(np.array(names, dtype=object), kind="stable")]
