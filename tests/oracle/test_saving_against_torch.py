"""State dicts between PyTorch and this package: in memory, and through the package ``safetensors``."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule.utils import safetensors as ours

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = pytest.mark.oracle

DTYPES = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64".split()
)


@pytest.fixture(scope="module")
def theirs():
    return pytest.importorskip("safetensors.torch", reason="needs safetensors (pip install 'chainrule[oracle]')")


def network(nn):
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


def trained(library, dtype="float32"):
    library.manual_seed(0)
    model = network(library.nn).to(getattr(library, dtype))
    optimizer = library.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(3):
        model(library.ones(2, 1, 4, 4, dtype=getattr(library, dtype))).sum().backward()
        optimizer.step()
    return model, optimizer


def values(state):
    return {k: v.float().tolist() for k, v in state.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_state_dict_of_pytorch_loads_as_it_is(dtype):
    source, _ = trained(torch) if dtype == "float16" else trained(torch, dtype)
    source = source.to(getattr(torch, dtype))
    model = network(cr.nn).to(getattr(cr, dtype))
    assert not any(model.load_state_dict(source.state_dict()))
    assert values(model.state_dict()) == values(source.state_dict())
    model.load_state_dict(dict(source.named_parameters()), strict=False)  # these require grad
    model.load_state_dict({k: v.numpy() for k, v in source.float().state_dict().items()})


def test_a_misfit_of_pytorch_lists_all_names():
    model = network(cr.nn)
    before = values(model.state_dict())
    state = dict(network(torch.nn).state_dict())
    state["0.weight"] = state["0.weight"][:2]
    state["extra.bias"] = state.pop("4.bias")
    with pytest.raises(RuntimeError, match=r"(?s)missing.*4\.bias \(3,\).*unexpected.*extra\.bias.*0\.weight: "):
        model.load_state_dict(state)
    assert values(model.state_dict()) == before


def test_a_line_takes_a_state_dict_to_pytorch():
    source, _ = trained(cr)
    model = network(torch.nn)
    model.load_state_dict({k: torch.from_dlpack(v.cpu()) for k, v in source.state_dict().items()})
    assert values(model.state_dict()) == values(source.state_dict())
    x = np.random.default_rng(0).normal(size=(2, 1, 4, 4)).astype(np.float32)
    expected = model.eval()(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(source.eval()(cr.tensor(x)).numpy(force=True), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_an_optimizer_of_pytorch_goes_on_here(dtype):
    model, optimizer = trained(torch, dtype)
    copied = network(cr.nn).to(getattr(cr, dtype))
    copied.load_state_dict(model.state_dict())
    adam = cr.optim.Adam(copied.parameters(), lr=1e-2)
    adam.load_state_dict(optimizer.state_dict())
    x = np.random.default_rng(0).normal(size=(4, 1, 4, 4)).astype(np.float32)
    for library, m, o in ((torch, model, optimizer), (cr, copied, adam)):
        o.zero_grad()
        (m(library.tensor(x).to(getattr(library, dtype))) ** 2).mean().backward()
        o.step()
    tolerance = 1e-6 if dtype == "float64" else 3e-2
    expected = values(model.state_dict())
    for name, value in values(copied.state_dict()).items():
        np.testing.assert_allclose(value, expected[name], rtol=tolerance, atol=tolerance, err_msg=name)


# ---- files of safetensors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_in_both_directions(dtype, theirs, tmp_path):
    numbers = [[0, 1, 1], [1, 0, 1]]
    here, there = cr.tensor(numbers).to(getattr(cr, dtype)), torch.tensor(numbers).to(getattr(torch, dtype))
    try:
        theirs.save_file({"x": there, "s": there[0, 1].clone()}, tmp_path / "theirs")
    except (KeyError, ValueError, RuntimeError) as error:
        pytest.skip(f"this version of safetensors cannot write {dtype}: {error}")
    ours.save_file({"x": here, "s": here[0, 1].clone(), "e": here[:0].clone()}, tmp_path / "ours")
    back = ours.load_file(tmp_path / "theirs")
    assert back["x"].dtype == here.dtype and cr.equal(back["x"], here.cpu()) and back["s"].shape == ()
    forth = theirs.load_file(tmp_path / "ours")
    assert forth["x"].dtype == there.dtype and torch.equal(forth["x"], there) and forth["e"].shape == (0, 3)


def test_a_whole_model_in_both_directions(theirs, tmp_path):
    model, _ = trained(torch)
    theirs.save_file(model.state_dict(), tmp_path / "x", metadata={"epoch": "3"})
    here = network(cr.nn)
    here.load_state_dict(ours.load_file(tmp_path / "x"))
    assert values(here.state_dict()) == values(model.state_dict())
    assert cr.load(tmp_path / "x").keys() == model.state_dict().keys()  # cr.load reads such files too
    ours.save_file(here.state_dict(), tmp_path / "y", metadata={"epoch": "3"})
    assert (tmp_path / "y").read_bytes() == (tmp_path / "x").read_bytes()


def test_an_lstm_of_pytorch_gives_the_same_from_its_file(theirs, tmp_path):
    torch.manual_seed(0)
    there = torch.nn.LSTM(8, 16, num_layers=2, bidirectional=True)
    theirs.save_file(there.state_dict(), tmp_path / "lstm")
    here = cr.nn.LSTM(8, 16, num_layers=2, bidirectional=True)
    here.load_state_dict(ours.load_file(tmp_path / "lstm"))
    x = torch.randn(12, 3, 8)
    expected, (h, c) = there(x)
    out, (our_h, our_c) = here(cr.from_numpy(x.numpy()))
    for a, b in ((out, expected), (our_h, h), (our_c, c)):
        np.testing.assert_allclose(a.numpy(force=True), b.detach().numpy(), rtol=0, atol=1e-6)


def test_checkpoints_of_cr_save_show_their_tensors_to_any_reader(theirs, tmp_path):
    model, optimizer = trained(cr)
    cr.save({"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "x")
    found = theirs.load_file(tmp_path / "x")
    assert found["model.0.weight"].tolist() == model[0].weight.tolist()
    assert found["optimizer.state.0.exp_avg"].shape == (4, 1, 3, 3)


def test_bytes_and_metadata(theirs):
    import safetensors

    data = ours.save({"a": cr.arange(3)}, {"k": "ä"})
    assert theirs.load(data)["a"].tolist() == [0, 1, 2]
    assert ours.load(theirs.save({"a": torch.arange(3)}))["a"].tolist() == [0, 1, 2]
    assert [name for name, _ in safetensors.deserialize(data)] == ["a"]


def tied(nn):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    return model


def test_tied_weights_in_both_directions(theirs, tmp_path):
    source = tied(torch.nn)
    theirs.save_model(source, tmp_path / "x")
    here = tied(cr.nn)
    assert ours.load_model(here, tmp_path / "x") == ([], [])
    assert values(here.state_dict()) == values(source.state_dict()) and here[1].weight is here[0].weight
    ours.save_model(here, tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == (tmp_path / "x").read_bytes()
    missing, unexpected = theirs.load_model(tied(torch.nn), tmp_path / "y")
    assert not missing and not unexpected
    with pytest.raises(RuntimeError, match="share memory.*save_model"):
        ours.save_file(here.state_dict(), tmp_path / "z")
    with pytest.raises(RuntimeError, match="share"):
        theirs.save_file(source.state_dict(), tmp_path / "z")


# ---- files of PyTorch -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_of_torch_save_is_refused_and_the_line_it_names_converts_it(zipped, theirs, tmp_path):
    path = tmp_path / "model.pt"
    model = network(torch.nn)
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(RuntimeError, match="it is a pickle") as caught:
        cr.load(path)
    line = str(caught.value).partition("convert it once: ")[2]
    import safetensors

    exec(line, {"torch": torch, "safetensors": safetensors})
    assert values(cr.load(tmp_path / "model.safetensors")) == values(model.state_dict())


def test_values_that_torch_save_keeps_are_kept(tmp_path):
    """The same value through both: what comes back is alike."""
    value = {"epoch": 3, "t": (1, [2.5, None]), 0: {"lr": 0.1}, "s": {1}, "x": [1, 2]}
    assert pickle.dumps(value)
    torch.save(value, tmp_path / "theirs")
    file = io.BytesIO()
    cr.save(value, file)
    file.seek(0)
    assert cr.load(file) == torch.load(tmp_path / "theirs", weights_only=True) == value
