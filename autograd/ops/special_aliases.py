"""Functions of ``chainrule.special`` that are known under another name too."""

from __future__ import annotations

from chainrule.autograd.ops import elementwise, softmax, statistics  # noqa: F401  (they publish the functions)
from chainrule.autograd.public import FUNCTIONS, OP_OF, function

#: name in the module -> the function it is
_SAME = {
    "expit": "sigmoid", "expm1": "expm1", "log1p": "log1p",
    "log_softmax": "log_softmax", "logsumexp": "logsumexp", "softmax": "softmax",
}  # fmt: skip

for _name, _known in _SAME.items():
    function(f"special.{_name}")(FUNCTIONS[_known])
    if _known in OP_OF:
        OP_OF[f"special.{_name}"] = OP_OF[_known]
