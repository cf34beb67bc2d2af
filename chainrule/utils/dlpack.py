"""DLPack capsules, with the names of ``torch.utils.dlpack``."""

from chainrule.autograd.dlpack import from_dlpack as from_dlpack
from chainrule.autograd.dlpack import to_dlpack as to_dlpack
