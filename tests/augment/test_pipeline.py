import pytest
import torch

from bench.errors import SpecError
from tests.augment.conformance import noise, pipeline, run, seeded

ONE_OF = {"one_of": [{"elastic": {"p": 0.2}}, {"crop": {"p": 0.3}}]}


def test_no_transforms_cost_nothing():
    images, masks = noise(3)
    pipe, images = pipeline(), images.float()
    chosen = pipe.choose(3, seeded())
    assert chosen.shape == (3, 0)
    assert not chosen.any(1).any()
    moved, moved_masks = pipe.apply(images, masks, chosen, seeded())
    assert moved is images
    assert moved_masks.data_ptr() == masks.data_ptr()


def test_nothing_chosen_costs_nothing():
    images, masks = noise(3)
    pipe, images = pipeline("hflip", "elastic"), images.float()
    moved, moved_masks = pipe.apply(images, masks, torch.zeros(3, 2, dtype=torch.bool), seeded())
    assert moved is images
    assert moved_masks.data_ptr() == masks.data_ptr()


def test_one_of_draws_at_most_one_each_with_its_own_probability():
    chosen = pipeline("hflip", ONE_OF, {"rotate": {"p": 1}}).choose(20_000, seeded())
    assert chosen.shape == (20_000, 4)
    assert chosen[:, 1:3].sum(1).max() == 1
    rates = chosen.double().mean(0).tolist()
    assert rates == pytest.approx([0.5, 0.2, 0.3, 1.0], abs=0.012)


def test_probabilities_of_nested_one_ofs_multiply():
    inner = {"one_of": {"p": 0.4, "of": [{"hflip": {"p": 0.5}}, {"vflip": {"p": 0.25}}]}}
    spec = {"one_of": {"p": 0.8, "of": [{"crop": {"p": 0.6}}, inner]}}
    chosen = pipeline(spec).choose(20_000, seeded())
    rates = chosen.double().mean(0).tolist()
    assert rates == pytest.approx([0.48, 0.8 * 0.4 * 0.5, 0.8 * 0.4 * 0.25], abs=0.012)
    assert chosen.sum(1).max() == 1


def test_transforms_apply_independently_of_each_other():
    chosen = pipeline("hflip", "vflip").choose(20_000, seeded())
    assert (chosen[:, 0] & chosen[:, 1]).double().mean().item() == pytest.approx(0.25, abs=0.012)


def test_only_what_is_chosen_happens():
    images, masks = noise(3)
    pipe = pipeline("hflip", "vflip")
    chosen = torch.tensor([[True, False], [False, False], [True, True]])
    moved, moved_masks = pipe.apply(images, masks, chosen, seeded())
    expected = [(-1,), (), (-1, -2)]
    for i, axes in enumerate(expected):
        assert torch.equal(moved[i], images[i].float().flip(axes))
        assert torch.equal(moved_masks[i], masks[i].flip(axes))


def test_unpaired_masks_are_drawn_afresh_even_whether():
    images, masks = noise(400, 8, 8)
    pipe = pipeline({"hflip": {"p": 0.3}}, paired=False)
    moved, moved_masks = run(pipe, images, masks)
    image_turned = (moved != images).flatten(1).any(1)
    mask_turned = (moved_masks != masks).flatten(1).any(1)
    both = (image_turned & mask_turned).double().mean().item()
    assert image_turned.double().mean().item() == pytest.approx(0.3, abs=0.08)
    assert mask_turned.double().mean().item() == pytest.approx(0.3, abs=0.08)
    assert both == pytest.approx(0.09, abs=0.05)


def test_unpaired_masks_leave_appended_originals_alone():
    images, masks = noise(200, 8, 8)
    pipe = pipeline({"hflip": {"p": 0.5}}, paired=False, mode="append")
    copies = torch.arange(200) % 2 == 1
    _, moved_masks = pipe.apply(images, masks, copies[:, None], seeded())
    turned = (moved_masks != masks).flatten(1).any(1)
    assert not turned[~copies].any()
    assert turned[copies].double().mean().item() == pytest.approx(0.5, abs=0.2)


def test_a_target_that_is_no_transform_is_an_error_that_says_so():
    with pytest.raises(SpecError, match=r"custom:Bystander.*needs `p` and `matrices`"):
        pipeline({"target": f"{__package__}.custom:Bystander"})


def test_autograd_does_not_follow():
    images = noise(2)[0].float().requires_grad_()
    assert not run(pipeline({"rotate": {"p": 1}}), images)[0].requires_grad


def test_photometric_transforms_come_after_the_resampling_in_their_order():
    images, masks = noise(4)
    dark, moved = {"brightness": {"p": 1, "factor": [0.5, 0.5]}}, {"hflip": {"p": 1}}
    flat = {"contrast": {"p": 1, "factor": [0, 0]}}
    first, last = (run(pipeline(*order), images, masks) for order in ((dark, moved), (moved, dark)))
    assert torch.equal(first[0], images.flip(-1).float() / 2)
    assert torch.equal(first[0], last[0])
    assert torch.equal(first[1], last[1])
    # noise on plain grey stays, but not under a contrast of 0
    noisy = {"noise": {"p": 1}}
    assert run(pipeline(flat, noisy), images)[0].std((1, 2, 3)).min() > 1
    assert run(pipeline(noisy, flat), images)[0].std((1, 2, 3)).max() < 1e-3


def test_one_of_draws_among_both_kinds():
    images, masks = noise(200, 8, 8)
    either = {"one_of": [{"hflip": {"p": 0.5}}, {"brightness": {"p": 0.5, "factor": [0.5, 0.5]}}]}
    moved, moved_masks = run(pipeline(either), images, masks)
    flipped = (moved == images.flip(-1)).flatten(1).all(1)
    dimmed = (moved == images.float() / 2).flatten(1).all(1)
    assert (flipped ^ dimmed).all()
    assert torch.equal(flipped, (moved_masks != masks).flatten(1).any(1))
    assert flipped.double().mean().item() == pytest.approx(0.5, abs=0.15)


def test_images_are_not_changed_in_place_where_only_values_change():
    images = noise(4)[0].float()
    given = images.clone()
    run(pipeline({"brightness": {"p": 0.5}}), images)
    assert torch.equal(images, given)
