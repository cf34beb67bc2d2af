"""Data sets, loaders, and what stands on top of the rest."""

from chainrule.utils import data as data
from chainrule.utils import dlpack as dlpack
