"""Transforms of images, for PIL images and tensors (..., C, H, W), with torchvision's names and meaning."""

from chainrule.vision.transforms import functional as functional
from chainrule.vision.transforms.basic import Compose as Compose
from chainrule.vision.transforms.basic import ConvertImageDtype as ConvertImageDtype
from chainrule.vision.transforms.basic import Lambda as Lambda
from chainrule.vision.transforms.basic import Normalize as Normalize
from chainrule.vision.transforms.basic import PILToTensor as PILToTensor
from chainrule.vision.transforms.basic import RandomApply as RandomApply
from chainrule.vision.transforms.basic import RandomChoice as RandomChoice
from chainrule.vision.transforms.basic import RandomOrder as RandomOrder
from chainrule.vision.transforms.basic import ToPILImage as ToPILImage
from chainrule.vision.transforms.basic import ToTensor as ToTensor
from chainrule.vision.transforms.color import ColorJitter as ColorJitter
from chainrule.vision.transforms.color import Grayscale as Grayscale
from chainrule.vision.transforms.color import RandomGrayscale as RandomGrayscale
from chainrule.vision.transforms.functional import InterpolationMode as InterpolationMode
from chainrule.vision.transforms.geometry import CenterCrop as CenterCrop
from chainrule.vision.transforms.geometry import Pad as Pad
from chainrule.vision.transforms.geometry import RandomCrop as RandomCrop
from chainrule.vision.transforms.geometry import RandomErasing as RandomErasing
from chainrule.vision.transforms.geometry import RandomHorizontalFlip as RandomHorizontalFlip
from chainrule.vision.transforms.geometry import RandomResizedCrop as RandomResizedCrop
from chainrule.vision.transforms.geometry import RandomRotation as RandomRotation
from chainrule.vision.transforms.geometry import RandomVerticalFlip as RandomVerticalFlip
from chainrule.vision.transforms.geometry import Resize as Resize
