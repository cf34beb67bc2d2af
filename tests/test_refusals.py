"""Names of PyTorch that are missing say why, and what to use instead."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule.autograd import refusals

pytestmark = pytest.mark.host
PLACES = {
    "": cr, "nn.Module": cr.nn.Module(), "nn": cr.nn, "nn.functional": cr.nn.functional, "fft": cr.fft,
    "linalg": cr.linalg, "special": cr.special, "utils.data": cr.utils.data, "distributions": cr.distributions,
}  # fmt: skip


@pytest.mark.parametrize("module", sorted(refusals.table()))
def test_a_refused_name_is_missing_and_says_so(module):
    owner = cr.Tensor if module == "Tensor" else PLACES[module]
    for name, reason in refusals.table()[module].items():
        with pytest.raises(AttributeError, match=f"has no '{name}', which PyTorch") as caught:
            getattr(owner, name)
        assert reason in str(caught.value)
        assert caught.value.name == name
        assert not hasattr(owner, name)


def test_reasons_say_more_than_no():
    for names in refusals.table().values():
        for reason in names.values():
            assert len(reason.split()) >= 4


def test_a_misspelt_name_is_guessed():
    with pytest.raises(AttributeError, match="module 'chainrule' has no attribute 'tensro'; did you mean 'tensor'"):
        _ = cr.tensro
    with pytest.raises(AttributeError, match="did you mean 'softmax'"):
        _ = cr.nn.functional.softmx


def test_a_refused_method_on_an_instance():
    with pytest.raises(AttributeError, match="no sparse tensors"):
        _ = cr.ones(1).to_sparse
    assert not hasattr(cr.ones(1), "to_sparse")
    assert getattr(cr.ones(1), "to_sparse", None) is None
