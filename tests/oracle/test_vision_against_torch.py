"""A ResNet-18 in plain torch.nn, with torchvision's names, against ours; transforms against what PyTorch computes."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.utils import safetensors
from chainrule.vision import transforms
from chainrule.vision.models import Bottleneck, ResNet, resnet18
from chainrule.vision.transforms import functional as F

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = pytest.mark.oracle


def conv_bn(inputs, outputs, size, stride):
    conv = torch.nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)
    return conv, torch.nn.BatchNorm2d(outputs)


class TwinBlock(torch.nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = conv_bn(inputs, outputs, 3, stride)
        self.conv2, self.bn2 = conv_bn(outputs, outputs, 3, 1)
        if stride != 1 or inputs != outputs:
            self.downsample = torch.nn.Sequential(*conv_bn(inputs, outputs, 1, stride))

    def forward(self, x):
        around = self.downsample(x) if hasattr(self, "downsample") else x
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(out + around)


class Twin(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(64)
        channels = 64
        for i, width in enumerate((64, 128, 256, 512), 1):
            blocks = [TwinBlock(channels, width, 1 if i == 1 else 2), TwinBlock(width, width, 1)]
            setattr(self, f"layer{i}", torch.nn.Sequential(*blocks))
            channels = width
        self.fc = torch.nn.Linear(512, classes)

    def forward(self, x):
        x = torch.nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return self.fc(x.mean((2, 3)))


def test_resnet18_with_the_weights_of_pytorch(tmp_path):
    files = pytest.importorskip("safetensors.torch", reason="needs safetensors (pip install 'chainrule[oracle]')")
    torch.manual_seed(0)
    theirs = Twin(10)
    for module in theirs.modules():  # as if trained: statistics that are not 0 and 1
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
    ours = resnet18(num_classes=10)
    files.save_file(theirs.state_dict(), tmp_path / "resnet18.safetensors")
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(safetensors.load_file(tmp_path / "resnet18.safetensors"))
    x = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    for mode in ("train", "eval"):  # gradients in the latter: a norm over four pixels hardly has any
        getattr(ours, mode)(), getattr(theirs, mode)()
        expected = theirs(torch.tensor(x))
        out = ours(cr.tensor(x))
        np.testing.assert_allclose(out.numpy(force=True), expected.detach().numpy(), rtol=0, atol=1e-4)
    out.square().sum().backward()
    expected.square().sum().backward()
    gradient = theirs.layer2[0].downsample[0].weight.grad.numpy()
    np.testing.assert_allclose(
        ours.layer2[0].downsample[0].weight.grad.numpy(force=True), gradient, atol=1e-3 * abs(gradient).max()
    )


def test_bottlenecks_and_dilation():
    """Shapes and names of the deeper kind, and stages that dilate instead of halving."""
    model = ResNet(Bottleneck, [1, 1, 1, 1], num_classes=3, replace_stride_with_dilation=[False, True, True])
    assert [name for name in model.state_dict() if name.startswith("layer1.0")][:2] == [
        "layer1.0.conv1.weight",
        "layer1.0.bn1.weight",
    ]
    assert model.layer4[0].conv2.dilation == (2, 2) and model.layer4[0].conv2.stride == (1, 1)
    assert model.fc.weight.shape == (3, 2048)
    assert ResNet(Bottleneck, [1, 1, 1, 1], zero_init_residual=True).layer1[0].bn3.weight.sum().item() == 0


@pytest.mark.parametrize("size", [(5, 9), (20, 31)])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_resize(size, mode, antialias):
    x = np.random.default_rng(0).random((2, 3, 13, 17), np.float32)
    options = {} if mode == "nearest" else {"align_corners": False, "antialias": antialias}
    expected = torch.nn.functional.interpolate(torch.tensor(x), size=size, mode=mode, **options)
    out = F.resize(cr.tensor(x), size, transforms.InterpolationMode(mode), antialias=antialias)
    np.testing.assert_allclose(out.numpy(force=True), expected.numpy(), atol=2e-6)


def test_a_step_of_training():
    """SGD on a small residual network from the same weights: the losses stay together."""
    torch.manual_seed(1)
    theirs = TwinBlock(4, 8, 2)
    from chainrule.vision.models import BasicBlock

    ours = BasicBlock(4, 8, 2, cr.nn.Sequential(cr.nn.Conv2d(4, 8, 1, 2, bias=False), cr.nn.BatchNorm2d(8)))
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(4, 4, 8, 8)).astype(np.float32)
    steps = cr.optim.SGD(ours.parameters(), lr=0.1), torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(3):
        losses = ours(cr.tensor(x)).square().mean(), theirs(torch.tensor(x)).square().mean()
        for step, loss in zip(steps, losses, strict=True):
            step.zero_grad()
            loss.backward()
            step.step()
        assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
