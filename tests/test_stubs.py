"""The generated type stubs are those that the declarations give."""

from __future__ import annotations

from pathlib import Path

import pytest

import chainrule.autograd
from chainrule.autograd import stubs


@pytest.mark.parametrize(("name", "make"), [("functions", stubs.functions_stub), ("methods", stubs.methods_stub)])
def test_stub_is_fresh(name, make):
    text = (Path(chainrule.autograd.__file__).parent / f"{name}.pyi").read_text()
    assert text == make(), "run python -m chainrule.autograd.stubs"


@pytest.mark.parametrize("module", stubs.MODULES)
def test_stub_of_a_module_is_fresh(module):
    text = (Path(chainrule.__file__).parent / f"{module}.pyi").read_text()
    assert text == stubs.functions_stub(module), "run python -m chainrule.autograd.stubs"


def test_every_public_function_is_in_the_stub():
    import chainrule as cr
    from chainrule.autograd.public import of_module

    text = stubs.functions_stub()
    for name, function in of_module("").items():
        assert f"def {name}(" in text
        assert getattr(cr, name) is function
