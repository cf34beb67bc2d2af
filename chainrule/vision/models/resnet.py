"""Residual networks.

He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, CVPR 2016, https://arxiv.org/abs/1512.03385
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from chainrule import nn
from chainrule.autograd.tensor import Tensor

Norm = Callable[[int], nn.Module]


def _conv3x3(inputs: int, outputs: int, stride: int = 1, groups: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Keeps the size of the image where ``stride`` is 1; the norm behind it has the bias."""
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation, groups=groups, bias=False)


def _conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the way around them: (N, inplanes, H, W) to (N, planes, H / stride, W / stride).

    Args:
        inplanes, planes: channels of the input and of the output.
        stride: of the first convolution.
        downsample: what the input passes through on its way around, where its shape must change.
        groups, base_width, dilation: 1, 64 and 1; other blocks have other values.
        norm_layer: makes a norm for a number of channels (default: BatchNorm2d).

    Raises ValueError for groups, width and dilation that only a :class:`Bottleneck` has.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision.models import BasicBlock
        >>> BasicBlock(8, 8)(cr.zeros(1, 8, 4, 4)).shape
        (1, 8, 4, 4)
    """

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        if (groups, base_width, dilation) != (1, 64, 1):
            raise ValueError(
                "BasicBlock: expected groups=1, base_width=64 and dilation=1, got "
                f"{groups}, {base_width} and {dilation}; Bottleneck takes others"
            )
        norm = norm_layer or nn.BatchNorm2d
        self.conv1 = _conv3x3(inplanes, planes, stride)
        self.bn1 = norm(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = norm(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        around = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.relu(out + around)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and the way around them: (N, inplanes, H, W) to (N, 4 planes, H / stride, ...).

    The stride is that of the 3x3 convolution, which the paper had in the first one ("ResNet v1.5").

    Args:
        inplanes: channels of the input.
        planes: a quarter of the channels of the output.
        groups, base_width: the 3x3 convolution has ``planes * base_width / 64 * groups`` channels in so many groups.
        stride, downsample, dilation, norm_layer: as in :class:`BasicBlock`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision.models import Bottleneck
        >>> Bottleneck(32, 8)(cr.zeros(1, 32, 4, 4)).shape
        (1, 32, 4, 4)
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = _conv1x1(inplanes, width)
        self.bn1 = norm(width)
        self.conv2 = _conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm(width)
        self.conv3 = _conv1x1(width, planes * self.expansion)
        self.bn3 = norm(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        around = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + around)


class ResNet(nn.Module):
    """A residual network: (N, 3, H, W) to (N, num_classes).

    Args:
        block: :class:`BasicBlock` or :class:`Bottleneck`.
        layers: how many blocks each of the four stages has.
        num_classes: outputs.
        zero_init_residual: let each block begin as the identity.
        groups, width_per_group: of the 3x3 convolutions in the bottlenecks.
        replace_stride_with_dilation: for the last three stages, whether they dilate instead of halving the image.
        norm_layer: makes a norm for a number of channels (default: BatchNorm2d).

    Example:
        >>> import chainrule as cr
        >>> from chainrule.vision.models import BasicBlock, ResNet
        >>> ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10)(cr.zeros(2, 3, 32, 32)).shape
        (2, 10)
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        dilate = [False] * 3 if replace_stride_with_dilation is None else list(replace_stride_with_dilation)
        if len(dilate) != 3 or len(layers) != 4:
            raise ValueError(
                "ResNet: expected 4 layers and 3 values of replace_stride_with_dilation, got "
                f"{len(layers)} and {len(dilate)}"
            )
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes = 64
        self.dilation = 1
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, self.inplanes, 7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0], 1, False)
        self.layer2 = self._make_layer(block, 128, layers[1], 2, dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], 2, dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], 2, dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, (BasicBlock, Bottleneck)):
                last: Any = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                nn.init.constant_(last.weight, 0)

    def _make_layer(self, block: Any, planes: int, blocks: int, stride: int, dilate: bool) -> nn.Sequential:
        """A stage. Where it dilates, its first block still has the dilation of the stage before."""
        first = self.dilation
        if dilate:
            self.dilation, stride = self.dilation * stride, 1
        outputs = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != outputs:
            downsample = nn.Sequential(_conv1x1(self.inplanes, outputs, stride), self._norm_layer(outputs))
        shared = self.groups, self.base_width
        stage = [block(self.inplanes, planes, stride, downsample, *shared, first, self._norm_layer)]
        self.inplanes = outputs
        for _ in range(1, blocks):
            stage.append(block(outputs, planes, 1, None, *shared, self.dilation, self._norm_layer))
        return nn.Sequential(*stage)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def _resnet(name: str, block: Any, layers: list[int], weights: Any, options: dict[str, Any]) -> ResNet:
    if weights is not None:
        raise ValueError(
            f"{name}: weights must be None, got {weights!r}: trained weights are not downloaded here; save a "
            "state dict of the PyTorch model and load it with load_state_dict()"
        )
    return ResNet(block, layers, **options)


def resnet18(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-18: 11.7 million parameters. Keywords are those of :class:`ResNet`.

    Raises ValueError for ``weights``: load a state dict, whose names are torchvision's.

    Example:
        >>> from chainrule.vision.models import resnet18
        >>> model = resnet18(num_classes=10)
        >>> [name for name in model.state_dict() if "downsample" in name][0]
        'layer2.0.downsample.0.weight'
    """
    return _resnet("resnet18", BasicBlock, [2, 2, 2, 2], weights, kwargs)


def resnet34(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-34; see :func:`resnet18`."""
    return _resnet("resnet34", BasicBlock, [3, 4, 6, 3], weights, kwargs)


def resnet50(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-50; see :func:`resnet18`."""
    return _resnet("resnet50", Bottleneck, [3, 4, 6, 3], weights, kwargs)


def resnet101(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-101; see :func:`resnet18`."""
    return _resnet("resnet101", Bottleneck, [3, 4, 23, 3], weights, kwargs)


def resnet152(*, weights: None = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-152; see :func:`resnet18`."""
    return _resnet("resnet152", Bottleneck, [3, 8, 36, 3], weights, kwargs)
