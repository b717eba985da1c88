"""Losses by `target:`: of MONAI, torch and one's own, with values equal to their own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.errors import SpecError
from bench.labels import IGNORE_LABEL
from bench.tasks.base import Batch
from bench.tasks.check_loss import check_loss
from bench.tasks.classification import Classification
from bench.tasks.foreign_loss import ForeignLoss
from bench.tasks.loss_settings import CustomLoss, NamedLoss
from bench.tasks.losses import PixelCrossEntropy, SoftDice
from bench.tasks.segmentation import Segmentation
from bench.tasks.segmentation_loss import segmentation_loss
from tests.builders import own_parts

OWN = "tests.builders.own_parts"
TVERSKY = {"target": "monai.losses:TverskyLoss", "to_onehot_y": True, "softmax": True}
THREE = ("background", "cat", "dog")


def settings(target: str, **arguments: Any) -> CustomLoss:
    return CustomLoss.model_validate({"target": target, **arguments})


def sample(classes: int = 2, ignored: bool = False) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(0)
    scores = torch.randn(3, classes, 8, 8, generator=noise)
    masks = torch.randint(classes, (3, 8, 8), generator=noise).to(torch.uint8)
    if ignored:
        masks[:, 2:4] = IGNORE_LABEL
    return scores, masks


def test_monais_tversky_is_its_own_value() -> None:
    losses = pytest.importorskip("monai.losses")
    scores, masks = sample(3)
    ours = ForeignLoss(CustomLoss.model_validate(TVERSKY))
    theirs = losses.TverskyLoss(to_onehot_y=True, softmax=True)
    torch.testing.assert_close(
        ours(scores, masks), theirs(scores, masks[:, None].long()), rtol=0, atol=1e-7
    )
    each = torch.stack([theirs(scores[i : i + 1], masks[i : i + 1, None].long()) for i in range(3)])
    measured = ours.measure(scores, masks)
    torch.testing.assert_close(measured.images, each.double(), rtol=0, atol=1e-7)
    torch.testing.assert_close(ours.of_split(measured.sums), each.double().mean())


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("monai.losses:DiceCELoss", {"to_onehot_y": True, "softmax": True}),
        ("monai.losses:DiceLoss", {"softmax": True}),
        ("monai.losses:FocalLoss", {"to_onehot_y": True}),
        ("monai.losses:GeneralizedDiceLoss", {"sigmoid": True}),
        ("segmentation_models_pytorch.losses:LovaszLoss", {"mode": "multiclass"}),
        ("torch.nn:CrossEntropyLoss", {"label_smoothing": 0.1}),
        ("torch.nn:CrossEntropyLoss", {"weight": [1, 2, 3]}),
        ("torch.nn.functional:cross_entropy", {}),
        ("torch.nn:BCEWithLogitsLoss", {"targets": "one_hot"}),
        (f"{OWN}:soft_iou", {"smooth": 0.5}),
        (f"{OWN}:ScaledCrossEntropy", {}),
    ],
)
def test_losses_of_others_are_taken_as_they_are(target: str, arguments: dict[str, Any]) -> None:
    pytest.importorskip(target.split(".")[0])
    chosen = settings(target, **arguments)
    check_loss(chosen, 3, "mask")
    loss = ForeignLoss(chosen)
    scores, masks = sample(3, ignored=True)
    value = loss(scores.requires_grad_(), masks)
    (gradient,) = torch.autograd.grad(value, scores)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_an_argument_ignore_index_is_given_the_ignore_label() -> None:
    scores, masks = sample(3, ignored=True)
    found = ForeignLoss(settings("torch.nn:CrossEntropyLoss"))(scores, masks)
    expected = F.cross_entropy(scores, masks.long(), ignore_index=255)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found, PixelCrossEntropy()(scores, masks))


def test_ignored_pixels_are_certain_background_to_other_losses() -> None:
    scores, masks = sample(2, ignored=True)
    found = ForeignLoss(settings(f"{OWN}:soft_iou"))(scores.requires_grad_(), masks)
    counted = masks != IGNORE_LABEL
    p, g = scores.softmax(1)[:, 1][counted], (masks[counted] == 1).float()
    both = (p * g).sum()
    torch.testing.assert_close(found, 1 - (both + 1) / (p.sum() + g.sum() - both + 1))
    (gradient,) = torch.autograd.grad(found, scores)
    assert gradient[:, :, 2:4].abs().sum() == 0


def test_an_image_without_a_counted_pixel_has_no_loss() -> None:
    scores, masks = sample(2)
    masks[1] = IGNORE_LABEL
    loss = ForeignLoss(settings(f"{OWN}:soft_iou"))
    measured = loss.measure(scores, masks)
    assert measured.images.isnan().tolist() == [False, True, False]
    torch.testing.assert_close(loss.of_split(measured.sums), measured.images[[0, 2]].mean())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"target": "monai.losses:DiceLoss"}, "set softmax: true"),
        ({"target": "monai.losses:DiceLoss", "sigmoid": True, "targets": "labels"}, "one_hot"),
        ({"target": "torch.nn:BCEWithLogitsLoss"}, "set targets: one_hot"),
        ({"target": "torch.nn:CrossEntropyLoss", "reduction": "none"}, "set reduction: mean"),
        ({"target": f"{OWN}:BinaryLogits"}, "set targets: one_hot"),
        ({"target": "torch.nn:CrossEntropyLoss", "weights": 1}, "unexpected keyword"),
        ({"target": "torch.nn:NoSuchLoss"}, "cannot be imported"),
        ({"target": "torch.nn.functional:one_hot"}, "fails on predictions"),
    ],
)
def test_errors_name_the_argument_to_set(arguments: dict[str, Any], says: str) -> None:
    pytest.importorskip(arguments["target"].split(".")[0])
    with pytest.raises(SpecError) as caught:
        check_loss(CustomLoss.model_validate(arguments), 2, "mask")
    assert caught.value.key == "train.loss"
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_softmax_of_one_logit_is_refused() -> None:
    pytest.importorskip("monai")
    with pytest.raises(SpecError, match="sigmoid: true instead of softmax"):
        check_loss(CustomLoss.model_validate(TVERSKY), 2, "mask", one_logit=True)


def test_one_logit_is_two_classes_to_our_losses_and_itself_to_others() -> None:
    scores, masks = sample(1)
    masks = masks.random_(0, 2, generator=torch.Generator().manual_seed(1))
    two = torch.cat([torch.zeros_like(scores), scores], 1)
    for name in ("cross_entropy", "dice", "cross_entropy+dice", "focal"):
        loss = segmentation_loss(name)
        torch.testing.assert_close(loss(scores, masks), loss(two, masks))
    binary = ForeignLoss(settings(f"{OWN}:BinaryLogits"))
    torch.testing.assert_close(binary(scores, masks), PixelCrossEntropy()(scores, masks))
    of_two = ForeignLoss(settings(f"{OWN}:BinaryLogits", predictions="logit"))
    torch.testing.assert_close(of_two(two, masks), binary(scores, masks))


def test_a_sum_of_losses_is_the_sum_of_their_values() -> None:
    scores, masks = sample(3, ignored=True)
    own = settings(f"{OWN}:soft_iou", weight=0.25)
    loss = segmentation_loss((NamedLoss(name="dice", weight=2.0), own))
    expected = 2 * SoftDice()(scores, masks) + 0.25 * ForeignLoss(own)(scores, masks)
    torch.testing.assert_close(loss(scores, masks), expected)
    halves = [loss.measure(scores[:1], masks[:1]).sums, loss.measure(scores[1:], masks[1:]).sums]
    whole = loss.measure(scores, masks)
    torch.testing.assert_close(torch.stack(halves).sum(0), whole.sums)
    assert loss.of_split(whole.sums).isfinite()


class Heads(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, images: Tensor) -> Any:
        main, small = images[:, :2], images[:, 1:3, ::2, ::2]
        found = {"dict": {"out": main, "aux": small}, "list": [main, small], "tuple": (main, small)}
        return found[self.kind]


@pytest.mark.parametrize("kind", ["dict", "list", "tuple"])
def test_heads_enter_the_loss_by_their_weights_and_the_main_one_predicts(kind: str) -> None:
    images, masks = sample(3)
    masks = masks.clamp(max=1)
    batch, model = Batch(images, masks, torch.arange(3)), Heads(kind)
    upsampled = F.interpolate(
        images[:, 1:3, ::2, ::2], size=(8, 8), mode="bilinear", align_corners=False
    )
    main, other = (PixelCrossEntropy()(s, masks) for s in (images[:, :2], upsampled))
    torch.testing.assert_close(Segmentation().loss(model, batch), main + 0.5 * other)
    weighted = Segmentation(head_weights=(1.0, 0.0))
    torch.testing.assert_close(weighted.loss(model, batch), main)
    assert torch.equal(
        Segmentation().predict(model, images), (images[:, 1] > images[:, 0]).to(torch.uint8)
    )
    with pytest.raises(SpecError, match=r"train\.head_weights: has 3 weights, .* 2 outputs"):
        Segmentation(head_weights=(1.0, 0.5, 0.25)).loss(model, batch)
    meter = Segmentation().meter()
    meter.update(model, batch)
    assert meter.compute()["loss"] == pytest.approx(float(main), abs=1e-6)


def test_class_weights_are_torchs_and_stay_out_of_validation() -> None:
    scores, masks = sample(3, ignored=True)
    weights = torch.tensor([0.5, 2.0, 4.0])
    task = Segmentation(classes=THREE)
    plain = task.criterion.measure(scores, masks)
    task.weight_classes(weights)
    expected = F.cross_entropy(scores, masks.long(), weights, ignore_index=255)
    torch.testing.assert_close(task.criterion(scores, masks), expected)
    assert torch.equal(task.criterion.measure(scores, masks).sums, plain.sums)
    batch = Batch(scores, masks, torch.arange(3))
    parts = task.loss_parts(batch, 2)
    torch.testing.assert_close(sum(part(nn.Identity()) for part in parts), expected)


def test_class_weights_of_labels() -> None:
    scores, labels = torch.randn(5, 3), torch.tensor([0, 1, 1, 2, 0])
    weights = torch.tensor([0.5, 2.0, 4.0])
    task = Classification(classes=THREE, label_smoothing=0.1)
    task.weight_classes(weights)
    batch = Batch(scores, labels, torch.arange(5))
    expected = F.cross_entropy(scores, labels, weights, label_smoothing=0.1)
    torch.testing.assert_close(task.loss(nn.Identity(), batch), expected)
    meter = task.meter()
    meter.update(nn.Identity(), batch)
    assert meter.compute()["loss"] == pytest.approx(float(F.cross_entropy(scores, labels)))


def test_a_loss_of_labels_by_target() -> None:
    scores, labels = torch.randn(5, 3), torch.tensor([0, 1, 1, 2, 0])
    chosen = settings("torch.nn:MultiMarginLoss")
    check_loss(chosen, 3, "label")
    task = Classification(classes=THREE, loss=chosen)
    batch = Batch(scores, labels, torch.arange(5))
    each = F.multi_margin_loss(scores, labels, reduction="none")
    torch.testing.assert_close(task.loss(nn.Identity(), batch), each.mean())
    meter = task.meter()
    meter.update(nn.Identity(), batch)
    assert meter.compute()["loss"] == pytest.approx(float(each.mean()))
    with pytest.raises(ValueError, match="not the sum"):
        task.loss_parts(batch, 2)


def test_what_a_loss_keeps_is_the_tasks_state() -> None:
    task = Segmentation(loss=(NamedLoss(name="dice"), settings(f"{OWN}:ScaledCrossEntropy")))
    assert set(task.state.state_dict()) == {"0.log_temperature", "0.mean"}
    assert not Segmentation().state.state_dict()
    assert isinstance(task.state[0], own_parts.ScaledCrossEntropy)  # type: ignore[index]


class Unseen:
    """Keeps a weight where no optimizer finds it."""

    def __init__(self) -> None:
        self.scale = torch.ones(2, requires_grad=True)

    def __call__(self, scores: Tensor, masks: Tensor) -> Tensor:
        weighted = scores * self.scale.view(1, 2, 1, 1)
        return nn.functional.cross_entropy(weighted, masks, ignore_index=255)


def test_a_loss_whose_weights_nobody_would_train_is_refused() -> None:
    settings = CustomLoss.model_validate({"target": f"{__name__}:Unseen"})
    with pytest.raises(SpecError, match=r"keeps 'scale'.*make the loss an nn.Module"):
        ForeignLoss(settings)
