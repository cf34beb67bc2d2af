"""Learning-rate schedules: each ``step()``, usually one an epoch, sets ``lr`` in the optimizer's groups."""

from chainrule.optim.composed import ChainedScheduler as ChainedScheduler
from chainrule.optim.composed import ReduceLROnPlateau as ReduceLROnPlateau
from chainrule.optim.composed import SequentialLR as SequentialLR
from chainrule.optim.cyclic import CosineAnnealingWarmRestarts as CosineAnnealingWarmRestarts
from chainrule.optim.cyclic import CyclicLR as CyclicLR
from chainrule.optim.cyclic import OneCycleLR as OneCycleLR
from chainrule.optim.scheduler_base import LRScheduler as LRScheduler
from chainrule.optim.schedules import ConstantLR as ConstantLR
from chainrule.optim.schedules import CosineAnnealingLR as CosineAnnealingLR
from chainrule.optim.schedules import ExponentialLR as ExponentialLR
from chainrule.optim.schedules import LambdaLR as LambdaLR
from chainrule.optim.schedules import LinearLR as LinearLR
from chainrule.optim.schedules import MultiplicativeLR as MultiplicativeLR
from chainrule.optim.schedules import MultiStepLR as MultiStepLR
from chainrule.optim.schedules import PolynomialLR as PolynomialLR
from chainrule.optim.schedules import StepLR as StepLR

_LRScheduler = LRScheduler  # its former name
