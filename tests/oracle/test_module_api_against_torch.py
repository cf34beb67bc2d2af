"""What modules can do, tried on both libraries: names, containers, hooks, state dicts, import paths."""

from __future__ import annotations

import collections
import importlib
import inspect

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.oracle
BOTH = pytest.mark.parametrize("library", [cr, torch], ids=["ours", "theirs"])

#: what PyTorch's Module has inside only, or what is refused
INTERNAL = {"T_destination", "ipu", "mtia", "xpu", "share_memory"}

CONTAINERS = ("Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict")


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_public_method_is_here_with_the_same_parameters(name):
    ours, theirs = getattr(cr.nn, name), getattr(torch.nn, name)
    missing = [n for n in dir(theirs) if not n.startswith("_") and not hasattr(ours, n)]
    missing += [n for n in vars(theirs) if n.startswith("__") and n not in dir(ours)]
    assert set(missing) <= INTERNAL
    for method, function in vars(theirs).items():
        if method.startswith("_") or not inspect.isfunction(function) or method in INTERNAL | {"to", "forward"}:
            continue
        a, b = (inspect.signature(f).parameters.values() for f in (getattr(ours, method), function))
        assert [(p.name, p.default, p.kind) for p in a] == [(p.name, p.default, p.kind) for p in b], method


# ---- the same programs, which print what they find -------------------------------------------------------------------

PROGRAMS = {
    "sequential": """
        s = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid()); say(s)
        say(s + nn.Sequential(nn.ELU())); say(s * 2); say(2 * s); say(s[1:]); say(s[-1]); say(len(s))
        s.append(nn.SELU()); s.insert(1, nn.Softplus()); s.extend([nn.Softsign()]); say(s)
        say(s.pop(1)); del s[0]; say(s); del s[:2]; say(s); s[0] = nn.GELU(); say(s)
        s += nn.Sequential(nn.ReLU6()); s *= 2; say(s); say([n for n, _ in s.named_children()])
    """,
    "named sequential": """
        s = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh())); say(s); say(s.b); s.append(nn.ELU()); say(s)
        say(s[1:]); s[1] = nn.SELU(); say(s)
    """,
    "module list": """
        m = nn.ModuleList([nn.ReLU(), nn.ReLU()]); say(m); m.append(nn.Tanh()); m.insert(0, nn.ELU()); say(m)
        say(m.pop(-1)); say(m + [nn.SELU()]); m += [nn.SELU()]; m.extend(nn.ModuleList([nn.GELU()])); say(m)
        del m[1:3]; say(m); m[0] = nn.Sigmoid(); say(m); say(m[:1]); say(len(m)); say(nn.ModuleList())
    """,
    "module dict": """
        m = nn.ModuleDict({"z": nn.ReLU(), "a": nn.Tanh()}); say(m); m.update([("q", nn.ELU())]); say(m)
        say(m.pop("z")); say(list(m.keys())); say(list(m.items())); say("a" in m); m["b"] = nn.SELU(); del m["a"]
        say(list(m)); say(list(m.values())); say(len(m)); m.clear(); say(m)
    """,
    "parameter list": """
        p = nn.ParameterList([z(1), z(2, 3)]); p.append(z(4)); p += [z(5)]; say(sizes(p)); p[0] = z(6); say(sizes(p))
        say(sizes(p[1:3])); say(type(p[1:3]).__name__); say(p[-1].shape[0]); p.append(7); say(len(p)); say(p[4])
        say([n for n, _ in p.named_parameters()]); say(list(p.state_dict())); p.extend([z(1)]); say(len(p))
        say(isinstance(p[0], nn.Parameter))
    """,
    "parameter dict": """
        p = nn.ParameterDict({"z": z(1), "a": z(2)}); say(list(p)); p["q"] = z(3); say(list(p.items())[0][0])
        say(list(p.state_dict())); say(p.setdefault("w")); say(p.get("nope", 5)); say(list(reversed(p)))
        say(list(p | nn.ParameterDict({"n": z(1)}))); p |= {"m": z(9)}; say(list(p.keys())); say(p.popitem()[0])
        say(list(p.fromkeys(["x", "y"], 3).items())); say(p.pop("z").shape[0]); say(list(p.copy()))
        p.update(OrderedDict([("b", z(1)), ("a", z(8))])); say([len(v) for v in p.values() if v is not None])
        say("a" in p); del p["a"]; say(len(p)); p.clear(); say(len(p))
    """,
    "modules": """
        m = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1)))
        say(m.get_submodule("1.1")); m.set_submodule("1.0", nn.Tanh()); m.set_submodule("2", nn.SELU()); say(m)
        say(sizes([m.get_parameter("1.1.bias")])); shared = m[0]; m.append(shared)
        say([n for n, _ in m.named_parameters()]); say([n for n, _ in m.named_parameters(remove_duplicate=False)])
        say([n for n, _ in m.named_modules()]); say([n for n, _ in m.named_modules(prefix="p", remove_duplicate=False)])
        say(len(list(m.modules()))); say(len(list(m.children()))); say(list(m.state_dict(prefix="net.")))
        m.requires_grad_(False); say([p.requires_grad for p in m.parameters()]); m.eval(); say(m[1].training)
        say(sorted(set(dir(nn.Linear(1, 1))) & {"weight", "bias", "forward", "in_features"}))
        m.register_module("last", None); say(m)
        say([str(p.dtype).split(".")[-1] for p in m.type(library.float64).parameters()][:1])
        say([str(p.dtype).split(".")[-1] for p in m.half().parameters()][:1])
        say([str(p.dtype).split(".")[-1] for p in m.bfloat16().parameters()][:1])
        say([str(p.dtype).split(".")[-1] for p in m.to(library.zeros(1)).parameters()][:1])
        say(str(m.to("cpu", library.float64, non_blocking=True)[0].weight.dtype).split(".")[-1])
        say(sizes(m.to_empty(device="cpu").parameters())); say(m.compile())
    """,
    "errors": """
        s = nn.Sequential(nn.ReLU())
        for bad in ("s[3]", "s + [1]", "s * 0", "s * 'a'", "s.append(3)", "s.get_submodule('7')",
                    "nn.ParameterList()()",
                    "s.set_submodule('', nn.ReLU())", "s.set_submodule('5', nn.ReLU(), strict=True)",
                    "nn.ModuleDict()['a']", "nn.ModuleList([1])", "nn.Module()(1)", "nn.Unflatten(1, 3)", "s.train(3)",
                    "nn.ParameterDict(5)", "nn.ParameterDict([(1,)])", "s.get_extra_state()", "s.add_module('a.b', s)",
                    "nn.Linear(2, 2).load_state_dict({})", "nn.Linear(2, 2).load_state_dict(3)", "s.to(library.int64)"):
            try:
                eval(bad)
                say(bad + ": nothing")
            except Exception as error:
                say(bad + ": " + type(error).__name__)
    """,
    "hooks": """
        class Two(nn.Module):
            def forward(self, x, y=None):
                return x * 2, x * 3
        def run(m, take):
            x = library.ones(2, requires_grad=True)
            sum(o.sum() for o in take(m(x))).backward(); say(x.grad.tolist())
        show = lambda gs: [None if g is None else g.tolist() for g in gs]
        m = Two()
        m.register_full_backward_pre_hook(lambda m, go: say("pre", show(go)))
        m.register_full_backward_hook(lambda m, gi, go: say("full", show(gi), show(go)))
        run(m, lambda o: o); run(m, lambda o: o[:1])
        m.register_full_backward_pre_hook(lambda m, go: (go[0] * 10, go[1]), prepend=True); run(m, lambda o: o)
        m.register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,)); run(m, lambda o: o)
        l = nn.ReLU(); l.register_backward_hook(lambda m, gi, go: say("old", show(gi), show(go)))
        run(l, lambda o: [o])
        always = nn.Softplus(); always.forward = lambda x: 1 / 0
        always.register_forward_hook(lambda m, a, o: say("always", o), always_call=True)
        always.register_forward_hook(lambda m, a, o: say("never"))
        try:
            always(1)
        except ZeroDivisionError:
            say("raised")
        M = nn.modules.module
        handles = [
            M.register_module_forward_pre_hook(lambda m, a: say("before", type(m).__name__)),
            M.register_module_forward_hook(lambda m, a, o: say("after", type(m).__name__)),
            M.register_module_full_backward_hook(lambda m, gi, go: say("back", type(m).__name__)),
            M.register_module_full_backward_pre_hook(lambda m, go: say("pre back", type(m).__name__)),
            M.register_module_parameter_registration_hook(lambda m, n, p: say("parameter", n)),
            M.register_module_buffer_registration_hook(lambda m, n, p: say("buffer", n)),
            M.register_module_module_registration_hook(lambda m, n, p: say("module", n)),
        ]
        net = nn.Sequential(nn.ReLU(), nn.BatchNorm1d(2), nn.Tanh())
        net[0].register_forward_hook(lambda *a: say("own"))
        net(library.ones(3, 2, requires_grad=True)).sum().backward()
        for h in handles:
            h.remove()
        net(library.ones(3, 2)); nn.Linear(1, 1)
    """,
    "state dict hooks": """
        class Counted(nn.Module):
            def __init__(self):
                super().__init__(); self.w = nn.Parameter(library.zeros(2)); self.count = 0
            def get_extra_state(self): return self.count
            def set_extra_state(self, state): self.count = state
        m = nn.Sequential(Counted(), nn.Linear(2, 1)); m[0].count = 5; s = m.state_dict(); say(list(s))
        say(s["0._extra_state"]); n = nn.Sequential(Counted(), nn.Linear(2, 1)); say(n.load_state_dict(s))
        say(n[0].count)
        del s["0._extra_state"]; say(n.load_state_dict(s, strict=False))
        m.register_state_dict_pre_hook(lambda m, prefix, keep: say("pre", prefix, keep))
        m[1].register_state_dict_post_hook(lambda m, sd, prefix, meta: sd.update({prefix + "more": 1}))
        m.register_load_state_dict_pre_hook(
            lambda m, sd, prefix, meta, strict, *r: (say(prefix, strict), sd.pop("1.more")))
        m[1].register_load_state_dict_pre_hook(lambda m, sd, prefix, *r: say("child", prefix, len(r)))
        m.register_load_state_dict_post_hook(lambda m, keys: say("post", keys.missing_keys, keys.unexpected_keys))
        s = m.state_dict(keep_vars=True); say(list(s)); say(s["1.weight"] is m[1].weight); say(m.load_state_dict(s))
        say(list(s)); say(s._metadata[""], s._metadata["1"])
        m[1]._register_load_state_dict_pre_hook(lambda sd, *r: say("plain", len(r)))
        m.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
        s.pop("1.bias"); say(m.load_state_dict(s))
        b = nn.BatchNorm1d(2); s = dict(b.state_dict()); del s["num_batches_tracked"]; say(b.load_state_dict(s))
        def helper(): pass
        from_helper = nn.modules.utils.consume_prefix_in_state_dict_if_present
        d = OrderedDict([("module.a", 1), ("b", 2)]); from_helper(d, "module."); say(list(d.items()))
    """,
}


def output_of(library, program):
    """What a program says, line by line."""
    lines: list[str] = []
    names = {
        "nn": library.nn, "library": library, "OrderedDict": collections.OrderedDict, "z": library.zeros,
        "say": lambda *values: lines.append(" ".join(map(str, values))),
        "sizes": lambda tensors: [tuple(t.shape) for t in tensors],
    }  # fmt: skip
    exec(inspect.cleandoc(program), names)
    return lines


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.filterwarnings("ignore")
def test_the_same_program_says_the_same(name):
    ours, theirs = output_of(cr, PROGRAMS[name]), output_of(torch, PROGRAMS[name])
    assert ours == theirs
    assert len(theirs) >= 5


# ---- import paths ----------------------------------------------------------------------------------------------------


def places():
    for name in sorted(vars(torch.nn.modules)):
        if inspect.ismodule(getattr(torch.nn.modules, name)) and not name.startswith("_"):
            yield name


@pytest.mark.parametrize("place", list(places()))
def test_import_paths(place):
    theirs = getattr(torch.nn.modules, place)
    if place in ("linear_cross_entropy", "linear_cross_entropy_options"):
        pytest.skip("a path that PyTorch has had for one release")
    ours = importlib.import_module(f"chainrule.nn.modules.{place}")
    for name, found in vars(theirs).items():
        if inspect.isclass(found) and found.__module__ == theirs.__name__ and hasattr(cr.nn, name):
            assert getattr(ours, name) is getattr(cr.nn, name) is getattr(cr.nn.modules, name)
            exec(f"from chainrule.nn.modules.{place} import {name}")


@BOTH
def test_private_names_that_scripts_import(library):
    n = library.nn.modules
    assert n.utils._pair(3) == (3, 3) and n.utils._pair((1, 2)) == (1, 2) and n.utils._single([4]) == (4,)
    assert n.utils._triple(1) == (1, 1, 1) and n.utils._quadruple(0) == (0,) * 4
    assert n.utils._ntuple(2)("ab") == ("a", "b")
    assert n.utils._reverse_repeat_tuple((1, 2), 2) == (2, 2, 1, 1)
    assert n.utils._list_with_default((None, 3), [1, 2, 5, 7]) == [5, 3]
    assert issubclass(library.nn.BatchNorm1d, n.batchnorm._BatchNorm) and issubclass(library.nn.MSELoss, n.loss._Loss)
    assert issubclass(library.nn.InstanceNorm1d, n.instancenorm._InstanceNorm)
    assert issubclass(n.batchnorm._BatchNorm, n.batchnorm._NormBase)
    assert issubclass(library.nn.Dropout, n.dropout._DropoutNd)
    assert library.nn.parameter.Parameter is library.nn.Parameter
    with pytest.raises(AttributeError, match="Nothing"):
        _ = n.conv.Nothing


# ---- two steps of training through all that norms keep ---------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.1, None, 1.0])
def test_running_statistics_over_several_batches(momentum):
    rng = np.random.default_rng(0)
    ours, theirs = (lib.nn.BatchNorm1d(3, momentum=momentum) for lib in (cr, torch))
    ours.double(), theirs.double()
    for step in range(6):
        x = rng.normal(size=(4, 3))
        if step == 3:  # then the batch's own are used, and the kept ones stay as they are
            ours.track_running_stats = theirs.track_running_stats = False
        if step == 4:
            ours.eval(), theirs.eval()
        a, b = ours(cr.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(a.numpy(force=True), b.detach().numpy(), rtol=1e-9, atol=1e-12)
        for name, value in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[name].numpy(force=True), value.numpy(), rtol=1e-9, atol=1e-12)
