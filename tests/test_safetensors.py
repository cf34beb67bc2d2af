"""chainrule.utils.safetensors: dtypes, tied models, refusals."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from saving_cases import ALL_DTYPES, Bomb, same

import chainrule as cr
from chainrule import nn
from chainrule.utils import safetensors


@pytest.mark.parametrize("dtype", ALL_DTYPES[:-1], ids=str)
def test_safetensors_of_every_dtype(dtype, tmp_path):
    x = cr.arange(6).view(2, 3).to(dtype)
    safetensors.save_file({"x": x, "t": x.clone().t(), "a": np.arange(3)}, tmp_path / "x", {"k": "v"})
    back = safetensors.load_file(tmp_path / "x", device=x.device)
    same(back["x"], x)
    same(back["t"].contiguous(), x.t().contiguous())
    assert back["a"].tolist() == [0, 1, 2]
    assert safetensors.load(safetensors.save({"x": x}))["x"].dtype == dtype


def test_safetensors_tied_models(tmp_path):
    def model():
        tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False), nn.Linear(3, 3))
        tied[1].weight = tied[0].weight
        return tied

    source, target = model(), model()
    safetensors.save_model(source, tmp_path / "x")
    assert safetensors.load_model(target, tmp_path / "x") == ([], [])
    same(target.state_dict(), source.state_dict())
    # a file that kept the other of the two names
    state = source.state_dict()
    del state["0.weight"]
    safetensors.save_file(state, tmp_path / "y")
    assert safetensors.load_model(model(), tmp_path / "y") == ([], [])
    other = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    before = copy.deepcopy(other.state_dict())
    with pytest.raises(RuntimeError, match=r"(?s)missing.*1.weight.*unexpected.*2.weight"):
        safetensors.load_model(other, tmp_path / "x")
    same(other.state_dict(), before)
    missing, unexpected = safetensors.load_model(other, tmp_path / "x", strict=False)
    assert (missing, sorted(unexpected)) == (["1.weight", "1.bias"], ["2.bias", "2.weight"])


@pytest.mark.host
@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        ([1], TypeError, "save: expected a dict of names and tensors, got list"),
        ({1: cr.ones(1)}, TypeError, "a name must be a string other than '__metadata__', got 1"),
        ({"__metadata__": cr.ones(1)}, TypeError, "a name must be a string other than"),
        ({"a": [1.0]}, TypeError, "'a' must be a Tensor or a NumPy array, got list"),
        ({"a": cr.ones(1, dtype=cr.complex128)}, TypeError, "'a' is chainrule.complex128, which the format"),
        ((lambda x: {"a": x, "b": x})(cr.ones(2)), RuntimeError, "share memory.*use save_model"),
        ((lambda x: {"a": x, "b": x[1:]})(cr.ones(2)), RuntimeError, r"\[\['a', 'b'\]\] share memory"),
    ],
)
def test_safetensors_refusals(tensors, error, message):
    with pytest.raises(error, match=message):
        safetensors.save(tensors)


@pytest.mark.host
def test_safetensors_metadata_must_be_strings():
    with pytest.raises(TypeError, match="save: metadata must map strings to strings"):
        safetensors.save({}, {"epoch": 3})
    with pytest.raises(RuntimeError, match="load: .*it is a pickle"):
        safetensors.load(pickle.dumps(Bomb()))


@pytest.mark.host
def test_partly_shared_parameters_are_no_tied_ones(tmp_path):
    model = nn.Linear(2, 2)
    model.bias = nn.Parameter(model.weight.detach()[0])
    with pytest.raises(RuntimeError, match="'bias' and 'weight' share a part of their memory only; use cr.save"):
        safetensors.save_model(model, tmp_path / "x")
