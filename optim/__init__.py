"""Optimizers and learning-rate schedules, under PyTorch's names."""

from chainrule.optim import lr_scheduler as lr_scheduler
from chainrule.optim.adam import Adam as Adam
from chainrule.optim.adam import AdamW as AdamW
from chainrule.optim.optimizer import Optimizer as Optimizer
from chainrule.optim.rmsprop import RMSprop as RMSprop
from chainrule.optim.sgd import SGD as SGD
