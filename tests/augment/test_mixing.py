"""mixup and CutMix against torchvision's, and on masks."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms import v2

from bench.augment.mixing import CutMix, MixedBatch, MixUp, as_shares
from bench.labels import MISSING_LABEL
from tests.augment.conformance import noise, pipeline, seeded

N, K = 16, 5
ALL = torch.ones(N, dtype=torch.bool)


def batch(height: int = 20, width: int = 30) -> MixedBatch:
    images = noise(N, height, width)[0].float()
    return MixedBatch(images, as_shares(torch.arange(N) % K, K))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_mixup_is_torchvisions(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MixUp, "draw", lambda *_: torch.full((N,), share))
    given = batch()
    found = MixUp(1, 0.2)(given, ALL, seeded())
    theirs = v2.MixUp(num_classes=K)
    params = {"lam": share, "labels": torch.arange(N) % K, "batch_size": N}
    expected = theirs.transform(given.images, params)
    labels = torch.arange(N) % K
    assert torch.allclose(found.images, expected, atol=1e-4)
    assert torch.allclose(found.target, theirs.transform(labels, params | {"labels": labels}))


@pytest.mark.parametrize("seed", range(4))
def test_cutmix_is_torchvisions(seed: int) -> None:
    """The same box, which theirs is given; for one sample after the other, as ours draw apart."""
    given, size = batch(), (20, 30)
    ours = CutMix(1, 1.0)
    boxes = ours.draw(N, size, seeded(seed))
    found = ours(given, ALL, seeded(seed))
    labels, theirs = torch.arange(N) % K, v2.CutMix(num_classes=K)
    for row, (left, top, right, bottom) in enumerate(boxes.tolist()):
        params = {
            "box": (left, top, right, bottom), "labels": labels, "batch_size": N,
            "lam_adjusted": 1 - (right - left) * (bottom - top) / 600,
        }  # fmt: skip
        assert torch.equal(found.images[row], theirs.transform(given.images, params)[row])
        assert torch.allclose(found.target[row], theirs.transform(labels, params)[row])


def test_boxes_are_distributed_as_torchvisions() -> None:
    """Their sides and centres, by the means over many draws."""
    n, (height, width) = 4000, (32, 48)
    drawn = CutMix(1, 1.0).draw(n, (height, width), seeded()).double()
    torch.manual_seed(0)
    theirs = v2.CutMix(num_classes=K)
    inputs = [torch.zeros(2, 3, height, width)]
    expected = torch.tensor([theirs.make_params(inputs)["box"] for _ in range(n)]).double()
    error = drawn.std(0) * math.sqrt(2 / n)
    assert ((drawn.mean(0) - expected.mean(0)).abs() < 4 * error).all()
    assert torch.allclose(drawn.std(0), expected.std(0), rtol=0.06)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_have_the_moments_of_beta(alpha: float) -> None:
    drawn = MixUp(1, alpha).share(20_000, seeded())
    variance = 1 / (4 * (2 * alpha + 1))
    assert drawn.mean().item() == pytest.approx(0.5, abs=4 * math.sqrt(variance / 20_000))
    assert drawn.var().item() == pytest.approx(variance, rel=0.06)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_samples_that_it_does_not_apply_to_stay_to_the_bit(name: str) -> None:
    pipe = pipeline({name: {"p": 0.5}}, classes=K)
    images, labels = batch().images, torch.arange(N) % K
    draws = seeded(2)
    chosen = pipe.choose(N, draws)
    mixed, shares = pipe.mix(images, labels, chosen, draws)
    alone = ~chosen[:, 0]
    assert 0 < int(alone.sum()) < N
    assert torch.equal(mixed[alone], images[alone])
    assert torch.equal(shares[alone], as_shares(labels, K)[alone])
    assert torch.allclose(shares.sum(1), torch.ones(N))
    assert (mixed[~alone] != images[~alone]).flatten(1).any(1).all()
    none = torch.zeros_like(chosen)
    assert pipe.mix(images, labels, none, draws).target.shape == (N, K), "shares in every batch"


def test_cutmix_takes_the_other_masks_box_along() -> None:
    masks = torch.arange(N, dtype=torch.uint8)[:, None, None].expand(N, 20, 30).contiguous()
    images = masks[:, None].expand(N, 3, 20, 30).float()
    pipe = pipeline({"cutmix": {}})
    draws = seeded()
    mixed, moved = pipe.mix(images, masks, pipe.choose(N, draws), draws)
    assert moved.dtype == torch.uint8
    assert torch.equal(mixed[:, 0], moved.float())
    for row in range(N):
        assert set(moved[row].unique().tolist()) <= {row, (row - 1) % N}
    assert (moved != masks).flatten(1).any(1).sum() > N // 2


def test_labels_of_several_classes_and_single_samples() -> None:
    several = torch.tensor([[1, 0, 1], [0, 1, 0]])
    found = MixUp(1, 1.0)(
        MixedBatch(torch.rand(2, 3, 4, 4), as_shares(several, 3)), torch.ones(2, dtype=torch.bool),
        seeded(),
    )  # fmt: skip
    assert ((found.target > 0) & (found.target < 1)).all()
    several[0, 1] = MISSING_LABEL
    found = MixUp(1, 1.0)(
        MixedBatch(torch.rand(2, 3, 4, 4), as_shares(several, 3)), torch.ones(2, dtype=torch.bool),
        seeded(),
    )  # fmt: skip
    assert (found.target[:, 1] == MISSING_LABEL).all(), "what is not known stays so, for both"
    alone = MixedBatch(torch.rand(1, 3, 4, 4), as_shares(torch.tensor([1]), 3))
    same = MixUp(1, 1.0)(alone, torch.ones(1, dtype=torch.bool), seeded())
    assert torch.allclose(same.images, alone.images)
    assert torch.equal(same.target, alone.target)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_no_device_is_waited_for(name: str) -> None:
    pipe = pipeline({name: {"p": 0.5}}, classes=K)
    images = torch.empty(N, 3, 8, 8, device="meta")
    draws = seeded()
    mixed, shares = pipe.mix(images, torch.empty(N, dtype=torch.int64, device="meta"),
                             pipe.choose(N, draws), draws)  # fmt: skip
    assert mixed.is_meta
    assert shares.shape == (N, K)
