import pytest
import torch
from torch import Tensor

from bench.augment.resample import pieces
from tests.augment.conformance import H, W, misalignment, noise, pipeline, ramps, run, seeded

HERE = __package__


def turn(degrees: float) -> dict[str, object]:
    return {"target": f"{HERE}.custom:Turn", "degrees": degrees, "p": 1}


def ripple(height: float, period: float = 40, axis: int = 0) -> dict[str, object]:
    settings = {"height": height, "period": period, "phase": 1.0, "axis": axis, "p": 1}
    return {"target": f"{HERE}.custom:Ripple", **settings}


HFLIP, VFLIP = {"hflip": {"p": 1}}, {"vflip": {"p": 1}}
ELASTIC = {"elastic": {"p": 1, "alpha": 60, "sigma": 4}}


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    "identity",
    [
        {"crop": {"p": 1, "scale": [1, 1]}},
        {"rotate": {"p": 1, "degrees": 0}},
        {"elastic": {"p": 1, "alpha": 0}},
        {"translate": {"p": 1, "by": 0}},
        {"shear": {"p": 1, "degrees": 0}},
        {"scale": {"p": 1, "factor": [1, 1]}},
        turn(360),
    ],
    ids=lambda identity: next(iter(identity)),
)
def test_identity_parameters_change_no_bit(identity: dict[str, object], interpolation: str):
    images, masks = noise(3)
    exact = images + torch.rand(images.shape, generator=seeded())
    moved, moved_masks = run(pipeline(identity, interpolation=interpolation), exact, masks)
    assert torch.equal(moved, exact)
    assert torch.equal(moved_masks, masks)


@pytest.mark.parametrize("side", [32, 45])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_flips_and_quarter_turns_are_exact(side: int, interpolation: str):
    images, masks = noise(2, side, side)
    exact = images + torch.rand(images.shape, generator=seeded())

    def check(transforms: list[object], expected) -> None:
        moved = run(pipeline(*transforms, interpolation=interpolation), exact, masks)
        assert torch.equal(moved[0], expected(exact))
        assert torch.equal(moved[1], expected(masks))

    check([HFLIP], lambda x: x.flip(-1))
    check([VFLIP], lambda x: x.flip(-2))
    check([HFLIP, VFLIP], lambda x: x.flip(-1, -2))
    for quarters in (1, 2, 3, -1):
        check([turn(90 * quarters)], lambda x, k=quarters: torch.rot90(x, k, (-2, -1)))
    # the first of the list acts on the image first
    check([turn(90), HFLIP], lambda x: torch.rot90(x, 1, (-2, -1)).flip(-1))
    check([HFLIP, turn(90)], lambda x: torch.rot90(x.flip(-1), 1, (-2, -1)))
    check([turn(30), turn(60)], lambda x: torch.rot90(x, 1, (-2, -1)))
    # a turn inside a round trip
    check([HFLIP, turn(30), HFLIP, turn(30)], lambda x: x)


def test_a_half_turn_of_any_shape_is_exact_and_a_quarter_turn_is_reflected():
    images, masks = noise(2)
    moved = run(pipeline(turn(180)), images, masks)
    assert torch.equal(moved[0], images.flip(-1, -2).float())
    assert torch.equal(moved[1], masks.flip(-1, -2))
    moved = run(pipeline(turn(90)), images, masks)
    centre = slice((W - H) // 2, (W + H) // 2)
    expected = torch.rot90(images[..., centre].float(), 1, (-2, -1))
    assert torch.equal(moved[0][..., centre], expected)
    left = (W - H) // 2
    assert torch.equal(moved[0][..., :left], moved[0][..., left : 2 * left].flip(-1))


def chain(images: Tensor, transforms: list[dict[str, object]]) -> Tensor:
    """One transform after another, each with its own interpolation."""
    for transform in transforms:
        images = run(pipeline(transform), images)[0]
    return images


@pytest.mark.parametrize(
    "transforms",
    [
        [ripple(3), ripple(4, axis=1)],
        [ripple(2), turn(20)],
        [turn(20), ripple(2)],
        [ripple(2), turn(90), ripple(3, 60)],
        [ripple(2), ripple(3, 60), turn(-70)],
        [turn(15), ripple(2), turn(25), HFLIP, ripple(1), VFLIP],
    ],
)
def test_composing_equals_a_chain_of_interpolations(transforms: list[dict[str, object]]):
    side, inner = 128, slice(40, 88)
    images = ramps(2, side, side)
    composed, expected = run(pipeline(*transforms), images)[0], chain(images, transforms)
    gap = (composed - expected)[..., inner, inner].abs().max()
    assert gap < 0.1, "bilinear interpolation of curved coordinates: h²/8 · f'' = 0.02 px a step"
    shuffled = chain(images, transforms[::-1])
    assert (shuffled - expected)[..., inner, inner].abs().max() > 1


@pytest.mark.parametrize("others", [[], [turn(70), HFLIP, {"scale": {"p": 1}}]])
def test_a_linear_displacement_moves_as_any_other(others: list[dict[str, object]]):
    bend = {"target": f"{HERE}.custom:Bend", **ELASTIC["elastic"]}
    images = ramps(5, 60, 84)
    linear, plain = (run(pipeline(*others, first), images)[0] for first in (ELASTIC, bend))
    assert torch.allclose(linear, plain, atol=1e-2)
    assert (linear - run(pipeline(*others), images)[0]).abs().max() > 5


@pytest.mark.parametrize("seed", range(6))
def test_image_and_mask_stay_aligned_under_random_compositions(seed: int):
    known = [
        {"elastic": {"p": 0.7, "alpha": 200, "sigma": 5}},
        {"crop": {"p": 0.7}},
        {"rotate": {"p": 0.7, "degrees": 180}},
        {"hflip": {"p": 0.5}},
        {"vflip": {"p": 0.5}},
        {"elastic": {"p": 0.7, "alpha": 30, "sigma": 2}},
        {"translate": {"p": 0.7, "by": 0.2}},
        {"shear": {"p": 0.7, "degrees": 20}},
        {"scale": {"p": 0.7, "factor": [0.5, 1.5]}},
        {"target": f"{HERE}.custom:Shift", "most": 30, "p": 0.7},
    ]
    order = torch.randperm(len(known), generator=seeded(seed)).tolist()
    assert misalignment(pipeline(*(known[i] for i in order)), n=24) <= 0.5 + 1e-3


def test_samples_of_one_batch_go_their_own_ways():
    """Each sample of a mixed batch gets what it would get alone."""
    images, masks = noise(4)
    transforms = [HFLIP, turn(25), ripple(2)]
    pipe = pipeline(*transforms)
    chosen = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1]], dtype=torch.bool)
    moved, moved_masks = pipe.apply(images, masks, chosen, seeded())
    for i, row in enumerate(chosen):
        one = slice(i, i + 1)
        alone = pipeline(*(t for t, on in zip(transforms, row, strict=True) if on))
        expected, expected_masks = run(alone, images[one], masks[one])
        assert torch.allclose(moved[one], expected, atol=1e-3)
        assert torch.equal(moved_masks[one], expected_masks)
    assert torch.equal(moved[0], images[0].float())


def test_half_a_pixel_is_no_whole_one():
    images, _ = noise(2)
    moved = run(pipeline({"target": f"{HERE}.custom:Shove", "x": 0.5, "p": 1}), images)[0]
    between = (images[..., :-1].float() + images[..., 1:].float()) / 2
    assert torch.allclose(moved[..., :-1], between, atol=1e-2)


def test_outside_the_frame_the_picture_is_reflected():
    images = ramps(1)
    shifted = {"target": f"{HERE}.custom:Shove", "x": -5.0, "p": 1}
    moved = run(pipeline(shifted), images)[0]
    assert moved[0, 0, 3, :8].tolist() == [4, 3, 2, 1, 0, 0, 1, 2]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_in_pieces_it_is_the_same(monkeypatch: pytest.MonkeyPatch, interpolation: str):
    images, masks = noise(11)
    names = ("elastic", "rotate", "hflip", "noise", "cutout")
    pipe = pipeline(*({name: {"p": 0.6}} for name in names), interpolation=interpolation)
    whole = run(pipe, images, masks)
    for pixels in (1, 3 * H * W):
        monkeypatch.setattr("bench.augment.resample._PIXELS", pixels)
        cut = run(pipe, images, masks)
        assert torch.allclose(cut[0], whole[0], atol=1e-2)
        assert torch.equal(cut[1], whole[1])


def test_pieces_cover_all_samples_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("bench.augment.resample._PIXELS", 100)
    cuts = [(part.start, part.stop) for part in pieces(5, (10, 5), torch.device("cpu"))]
    assert cuts == [(0, 2), (2, 4), (4, 5)]
    assert [part.stop for part in pieces(3, (20, 50), torch.device("cpu"))] == [1, 2, 3]
    assert list(pieces(9, (10, 5), torch.device("meta"))) == [slice(0, 9)]
    assert list(pieces(0, (10, 5), torch.device("cpu"))) == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_moves_as_the_cpu_does_and_is_not_waited_for():
    images, masks = noise(16)
    names = ("rotate", "elastic", "crop", "shear", "noise", "blur", "cutout", "contrast")
    pipe = pipeline(*({name: {"p": 0.7}} for name in names), HFLIP, {"elastic": {"p": 0.3}})
    here = run(pipe, images, masks)
    images, masks = images.cuda(), masks.cuda()
    run(pipe, images, masks)  # what is kept is copied once
    torch.cuda.set_sync_debug_mode("error")
    try:
        there = run(pipe, images, masks)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert there[0].is_cuda
    assert ((there[0].cpu() - here[0]).abs() > 0.1).float().mean() < 1e-3
    assert (there[1].cpu() != here[1]).float().mean() < 1e-3
