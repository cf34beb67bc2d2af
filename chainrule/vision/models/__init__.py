"""Image classifiers whose state dicts have torchvision's names."""

from chainrule.vision.models.resnet import BasicBlock as BasicBlock
from chainrule.vision.models.resnet import Bottleneck as Bottleneck
from chainrule.vision.models.resnet import ResNet as ResNet
from chainrule.vision.models.resnet import resnet18 as resnet18
from chainrule.vision.models.resnet import resnet34 as resnet34
from chainrule.vision.models.resnet import resnet50 as resnet50
from chainrule.vision.models.resnet import resnet101 as resnet101
from chainrule.vision.models.resnet import resnet152 as resnet152
