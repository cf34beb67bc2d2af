"""Image data sets with torchvision's names and folders."""

from chainrule.vision.datasets.base import VisionDataset as VisionDataset
from chainrule.vision.datasets.cifar import CIFAR10 as CIFAR10
from chainrule.vision.datasets.cifar import CIFAR100 as CIFAR100
from chainrule.vision.datasets.fake import FakeData as FakeData
from chainrule.vision.datasets.folder import DatasetFolder as DatasetFolder
from chainrule.vision.datasets.folder import ImageFolder as ImageFolder
from chainrule.vision.datasets.mnist import MNIST as MNIST
from chainrule.vision.datasets.mnist import FashionMNIST as FashionMNIST
