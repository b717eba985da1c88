"""The encoder is the first half of torchvision's ResNet50."""

from __future__ import annotations

import torch
from torchvision.models import resnet50

from bench.models.resnet50_linknet import ResNet50LinkNet


def test_torchvisions_state_dict_fits_and_gives_the_same() -> None:
    torch.manual_seed(0)
    whole = resnet50(weights=None).eval()
    for buffer in whole.buffers():  # statistics that are not their defaults
        if buffer.ndim:
            buffer.uniform_(0.5, 1.5)
    encoder = ResNet50LinkNet().encoder.eval()
    half = {
        name: value
        for name, value in whole.state_dict().items()
        if not name.startswith(("layer3", "layer4", "fc"))
    }
    encoder.load_state_dict(half, strict=True)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = whole.maxpool(whole.relu(whole.bn1(whole.conv1(image))))
        expected = whole.layer2(whole.layer1(expected))
        found = encoder.layer2(encoder.layer1(encoder.maxpool(encoder.stem(image))))
    torch.testing.assert_close(found, expected)


def test_encoder_parts_are_all_of_the_encoder_once() -> None:
    model = ResNet50LinkNet(width=0.1)
    parts = model.encoder_parts()
    assert list(parts) == ["stem", "layer1", "layer2"]
    listed = [p for modules in parts.values() for m in modules for p in m.parameters()]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(model.encoder.parameters())


def test_the_step_reaches_the_output() -> None:
    torch.manual_seed(0)
    model, image = ResNet50LinkNet(width=0.1).eval(), torch.randn(1, 3, 16, 16)
    with torch.inference_mode():
        early, late = (model(image, torch.tensor([time])) for time in (0, 900))
    assert not torch.allclose(early, late)
