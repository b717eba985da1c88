"""Pipelines of albumentations and torchvision, and functions of one's own, as they are."""

from __future__ import annotations

import random
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from bench.augment.check_custom import check_custom_transforms, example_samples
from bench.augment.pipeline import Pipeline
from bench.augment.samples import SampleBatch
from bench.augment.settings import AugmentSettings
from bench.errors import SpecError
from tests.augment import pipelines
from tests.augment.conformance import seeded

HERE = f"{__package__}.pipelines"
SIZE = (24, 36)
KINDS = ("of_albumentations", "of_torchvision", "own", "own_globals")


def made(target: str, classes: int = 3, masks: bool = True, **more: Any) -> Pipeline:
    value = {"target": target if ":" in target else f"{HERE}:{target}", **more}
    settings = AugmentSettings.model_validate(value)
    return Pipeline(settings, size=SIZE, classes=classes, masks=masks)


def run(pipe: Pipeline, batch: SampleBatch, seed: int = 0) -> SampleBatch:
    draws = seeded(seed)
    chosen = pipe.choose(len(batch.images), draws)
    assert chosen.all(), "a pipeline sees every sample: its own p decide"
    return pipe.change_samples(batch, chosen, draws)


@pytest.fixture
def batch() -> SampleBatch:
    return example_samples(12, SIZE, 3, 3)


def with_threads(threads: int, pipe: Pipeline, batch: SampleBatch) -> SampleBatch:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return run(pipe, batch)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_whatever_the_threads_and_what_came_before(kind: str, batch: SampleBatch):
    pipe = made(kind)
    one, three = with_threads(1, pipe, batch), with_threads(3, pipe, batch)
    again, other = run(made(kind), batch), run(pipe, batch, seed=1)
    for same in (three, again):
        assert torch.equal(one.images, same.images)
        assert torch.equal(one.masks, same.masks)
    assert not torch.equal(one.images, other.images)
    assert not torch.equal(one.images[0], one.images[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_depends_on_its_own_seed_alone(kind: str, batch: SampleBatch):
    """Neither on which samples come before it nor on their number."""
    pipe = made(kind)
    transform = pipe.sample_transforms[0]
    from bench.augment.samples import change_samples

    whole = change_samples(transform, batch, range(12), range(12), classes=3)
    backwards = change_samples(transform, batch, [7, 3], [7, 3], classes=3)
    for row in (3, 7):
        assert torch.equal(whole.images[row].float(), backwards.images[row].float())
        assert torch.equal(whole.masks[row], backwards.masks[row])
    untouched = [row for row in range(12) if row not in (3, 7)]
    assert torch.equal(backwards.images[untouched].float(), batch.images[untouched].float())


@pytest.mark.parametrize("kind", KINDS)
def test_global_generators_and_what_is_given_stay(kind: str, batch: SampleBatch):
    given = SampleBatch(batch.images.clone(), batch.masks.clone())
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), float(torch.rand(()))
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    run(made(kind), batch)
    assert (random.random(), np.random.rand(), float(torch.rand(()))) == expected
    assert torch.equal(batch.images, given.images)
    assert torch.equal(batch.masks, given.masks)


@pytest.mark.parametrize("kind", KINDS)
def test_masks_follow_images(kind: str):
    """Where the image is dark the mask is 0, where it is bright 1, whatever changes its values."""
    masks = example_samples(12, SIZE, 3, 2).masks
    levels = torch.tensor([40, 230] + [130] * 254, dtype=torch.uint8)
    images = levels[masks.long()].unsqueeze(1).expand(-1, 3, -1, -1).contiguous()
    changed = run(made(kind), SampleBatch(images, masks))
    brightness = changed.images.float().mean(1)
    for label, is_bright in ((0, False), (1, True)):
        right = (brightness > 110)[changed.masks == label] == is_bright
        assert right.float().mean() > 0.95, "all but what interpolation makes of edges"


def test_albumentations_gives_what_it_gives_by_itself(batch: SampleBatch):
    """With generators that its transforms share, as when a Compose is called time after time."""
    found = run(made("of_albumentations"), batch)
    draws = seeded(0)
    made("of_albumentations").choose(12, draws)
    seeds = torch.randint(2**63 - 1, (12,), generator=draws).tolist()
    pipe = pipelines.of_albumentations()
    pipe.transforms = [t for t in pipe.transforms if not isinstance(t, A.Normalize)]
    for row, seed in enumerate(seeds):
        pipe.set_random_state(np.random.default_rng(seed), random.Random(seed))
        image = batch.images[row].permute(1, 2, 0).contiguous().numpy()
        expected = pipe(image=image, mask=batch.masks[row].numpy())
        assert torch.equal(found.images[row], expected["image"])
        assert torch.equal(found.masks[row], expected["mask"])


def test_two_flips_of_albumentations_are_independent():
    """`set_random_seed` for each sample would give both the same draw, and so always both."""
    flips = [{"target": f"albumentations:{name}", "p": 0.5} for name in
             ("HorizontalFlip", "VerticalFlip")]  # fmt: skip
    pipe = made("albumentations:Compose", transforms=flips)
    corner = torch.zeros(200, 3, 2, 2, dtype=torch.uint8)
    corner[:, :, 0, 0] = 255
    found = run(pipe, SampleBatch(corner, None)).images[:, 0].flatten(1).argmax(1)
    counts = torch.bincount(found, minlength=4)
    assert counts.min() > 25, "each of the four corners about 50 times of 200"


def test_torchvision_gives_what_it_gives_by_itself(batch: SampleBatch):
    found = run(made("of_torchvision"), batch)
    draws = seeded(0)
    made("of_torchvision").choose(12, draws)
    seeds = torch.randint(2**63 - 1, (12,), generator=draws).tolist()
    transform = v2.Compose(pipelines.of_torchvision(SIZE).transforms[:-1])
    for row, seed in enumerate(seeds):
        torch.manual_seed(seed)
        image, mask = transform(
            tv_tensors.Image(batch.images[row].contiguous()), tv_tensors.Mask(batch.masks[row])
        )
        assert torch.equal(found.images[row], (image * 255).clamp(0, 255))
        assert torch.equal(found.masks[row], mask)


def test_labels_need_no_masks_and_images_may_have_any_channels():
    for kind in ("of_labels", "of_image"):
        batch = example_samples(4, SIZE, 3, None)
        found = run(made(kind, masks=False), batch)
        assert found.masks is None
        assert found.images.shape == batch.images.shape
    deep = SampleBatch(255 * torch.rand(4, 5, *SIZE), None)
    flip = run(made("albumentations:HorizontalFlip", masks=False, p=1), deep)
    assert torch.allclose(flip.images, deep.images.flip(-1), atol=1e-4)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("smaller", r"gives images of 12×18 pixels, not 24×36: end it with a resize or a crop"),
        ("normalised", r"gives values from -[12]\S* to \S+: .*leave out Normalize"),
        ("smoothed", "masks with values that are no labels: masks take the nearest"),
        ("strange", "masks with the label 9, but classes are 0 to 2 and 255 is ignored"),
        ("without_mask", "gives no mask back: it must return image and mask"),
        ("failing", r"fails on an image 24×36×3 uint8 and its mask: ZeroDivisionError: half of"),
        ("text", "gives a str for an image, which is none"),
        ("of_image", "takes no mask: give it an argument `mask`, and return image and mask"),
        ("Unseeded", "gives another image for the same seed, .* give it an argument `rng`"),
        ("old", "of torchvision.transforms, which moves images without their masks: use .*v2"),
        ("number", "gives 42, which cannot be called"),
        ("nowhere", "cannot be imported"),
        ("tests.augment.custom:Shift", "cannot be built|single transform"),
    ],
)
def test_what_does_not_work_is_refused_with_the_remedy(target: str, message: str):
    value = {"target": target if ":" in target else f"{HERE}:{target}"}
    settings = AugmentSettings.model_validate(value)
    with pytest.raises(SpecError, match=message):
        check_custom_transforms(settings, SIZE, classes=3)


def test_the_check_measures_and_says_that_normalize_is_left_out():
    settings = AugmentSettings.model_validate({"target": f"{HERE}:of_albumentations"})
    (cost,) = check_custom_transforms(settings, SIZE, classes=3)
    assert cost.name == f"'{HERE}:of_albumentations'"
    assert 0 < cost.seconds < 1
    assert cost.left_out == "its Normalize, which data.normalize does"


def test_a_transform_of_a_library_in_the_list_is_sent_where_it_belongs():
    settings = AugmentSettings.model_validate([{"target": "albumentations:HorizontalFlip"}])
    with pytest.raises(SpecError, match=r"write `augment: \{target: …\}`"):
        Pipeline(settings)


def test_pipelines_and_transforms_by_name_follow_each_other(batch: SampleBatch):
    settings = AugmentSettings.model_validate(
        {"pipeline": {"target": f"{HERE}:own"}, "transforms": [{"hflip": {"p": 1}}]}
    )
    pipe = Pipeline(settings, size=SIZE, classes=3)
    draws = seeded()
    chosen = pipe.choose(12, draws)
    moved = pipe.change_samples(batch, chosen, draws)
    images, masks = pipe.apply(*moved, chosen, draws)
    assert torch.equal(images, moved.images.flip(-1).float())
    assert torch.equal(masks, moved.masks.flip(-1))


def test_unpaired_masks_go_their_own_way(batch: SampleBatch):
    settings = AugmentSettings.model_validate({"target": f"{HERE}:own"})
    paired, unpaired = (Pipeline(settings, classes=3, paired=how) for how in (True, False))
    one, other = run(paired, batch), run(unpaired, batch)
    assert torch.equal(one.images, other.images)
    assert not torch.equal(one.masks, other.masks)
