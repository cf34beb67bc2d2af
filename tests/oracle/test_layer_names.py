"""Every public class of ``torch.nn`` is here, with PyTorch's signatures, or refused with a reason."""

from __future__ import annotations

import inspect

import pytest

import chainrule as cr
from chainrule.autograd import refusals

torch = pytest.importorskip("torch")
import moduleinfo  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.host]

CLASSES = moduleinfo.public_classes()


#: constructors whose parameters are not PyTorch's, and why
OTHER_SIGNATURES: dict[str, str] = dict.fromkeys(
    ("RNN", "LSTM", "GRU"), "PyTorch's takes *args and **kwargs; here the documented parameters are spelled out"
)


def parameters(cls):
    """Names, defaults and kinds of what the constructor takes."""
    if cls.__init__ in (cr.nn.Module.__init__, torch.nn.Module.__init__):
        return []  # inherited: there is nothing to give
    tensors = (torch.nn.Parameter, torch.nn.Buffer, torch.nn.UninitializedParameter, torch.nn.UninitializedBuffer)
    maker = cls.__new__ if cls in tensors else cls.__init__
    found = list(inspect.signature(maker).parameters.values())[1:]
    return [(p.name, getattr(p.default, "__name__", repr(p.default)), p.kind.description) for p in found]


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_a_class_is_here_or_refused(name):
    refused = name in refusals.table()["nn"]
    if hasattr(cr.nn, name):
        assert not refused
        assert inspect.isclass(getattr(cr.nn, name))
    else:
        assert refused, f"nn.{name} is neither here nor refused"


@pytest.mark.parametrize("name", sorted(n for n in CLASSES if hasattr(cr.nn, n)))
def test_constructors_take_the_same(name):
    ours, theirs = getattr(cr.nn, name), CLASSES[name]
    assert ours.__name__ == theirs.__name__
    if name in OTHER_SIGNATURES:
        assert parameters(ours) != parameters(theirs), "no exception any more"
        return
    assert parameters(ours) == parameters(theirs)


@pytest.mark.parametrize("name", sorted(n for n in CLASSES if hasattr(cr.nn, n)))
def test_forwards_take_the_same_names(name):
    """Layers are called with names too, such as ``loss(input=x, target=y)``."""
    ours, theirs = getattr(cr.nn, name), CLASSES[name]
    if not issubclass(theirs, torch.nn.Module) or "forward" not in vars(theirs) or theirs is torch.nn.Module:
        return
    assert list(inspect.signature(ours.forward).parameters) == list(inspect.signature(theirs.forward).parameters)
