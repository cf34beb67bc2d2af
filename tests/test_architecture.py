"""The rules that keep the code as designed: what imports what, what rules may use, documentation, size."""

from __future__ import annotations

import ast
import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import chainrule as cr
from chainrule.autograd.op import OPS
from chainrule.autograd.public import FUNCTIONS

pytestmark = pytest.mark.host

PACKAGE = Path(cr.__file__).parent
#: what each part may import; `chainrule` stands for what is on top of the others
LAYERS = {
    "backends": set(),
    "autograd": {"backends"},
    "nn": {"backends", "autograd"},
    "optim": {"backends", "autograd"},
    "benchmarks": {"backends", "autograd", "nn", "optim", "chainrule"},
    "chainrule": {"backends", "autograd", "nn", "optim"},
}
ANYWHERE = {"chainrule.version"}
#: files that stand on top of their part: averages of models know models
ABOVE = {"optim/swa_utils.py": {"nn"}}


def files(part=None):
    """The modules of a part, or all of them, as (path inside the package, path)."""
    for path in sorted(walk(PACKAGE)):
        inside = path.relative_to(PACKAGE)
        if part is None or part_of(inside) == part:
            yield inside, path


def walk(folder):
    """Every Python file below a folder; parts are symlinks in the checkout, which rglob does not follow."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != "__pycache__":
            yield from walk(path)
        elif path.suffix == ".py":
            yield path


def part_of(inside):
    return inside.parts[0] if len(inside.parts) > 1 and inside.parts[0] in LAYERS else "chainrule"


def imports(tree):
    """Every imported module with its line, and whether it stands at the top level of the file."""
    top = {id(n) for n in top_level(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.lineno, id(node) in top
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno, id(node) in top


def top_level(tree):
    """Statements that run at import: those outside of functions and of ``if TYPE_CHECKING``."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        waiting += [n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt)]


def typing_only(tree):
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            found |= {n.lineno for n in ast.walk(node) if isinstance(n, (ast.Import, ast.ImportFrom))}
    return found


def test_there_is_something_to_check():
    assert len(list(files())) > 40
    assert {part_of(inside) for inside, _ in files()} >= {"backends", "autograd", "nn", "optim", "chainrule"}


def test_imports_run_one_way():
    """backends <- autograd <- nn, optim <- chainrule; inside functions too."""
    wrong = []
    for inside, path in files():
        part = part_of(inside)
        tree = ast.parse(path.read_text())
        skip = typing_only(tree)
        for name, line, _ in imports(tree):
            if not name.startswith("chainrule") or line in skip or name in ANYWHERE:
                continue
            pieces = name.split(".")
            target = pieces[1] if len(pieces) > 1 and pieces[1] in LAYERS else "chainrule"
            if len(pieces) == 1:
                continue  # `from chainrule import X` is seen as chainrule.X
            if target != part and target not in LAYERS[part] | ABOVE.get(inside.as_posix(), set()):
                wrong.append(f"{inside}:{line} ({part}) imports {name}")
    assert not wrong, "\n".join(wrong)


def test_imports_are_absolute():
    wrong = [
        f"{inside}:{node.lineno}"
        for inside, path in files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not wrong


@pytest.mark.parametrize("library", ["cupy", "cupyx", "cudnn"])
def test_gpu_libraries_are_imported_in_backends_only(library):
    wrong = [
        f"{inside}:{line}"
        for inside, path in files()
        for name, line, _ in imports(ast.parse(path.read_text()))
        if name.split(".")[0] == library and part_of(inside) != "backends"
    ]
    assert not wrong


@pytest.mark.parametrize("library", ["scipy", "graphviz", "cupy", "torch", "matplotlib", "sklearn"])
def test_optional_libraries_are_imported_on_first_use(library):
    wrong = [
        f"{inside}:{line}"
        for inside, path in files()
        for name, line, top in imports(ast.parse(path.read_text()))
        if top and name.split(".")[0] == library and part_of(inside) != "benchmarks"
        and not (library == "sklearn" and inside.parts[0] == "estimators")  # which is imported on first use itself
    ]
    assert not wrong


def test_importing_chainrule_loads_no_optional_library():
    code = """
import sys
import chainrule
x = chainrule.ones(2, requires_grad=True)
(x * 2).sigmoid().sum().backward()
loaded = {n.split('.')[0] for n in sys.modules}
print(sorted(loaded & {'scipy', 'graphviz', 'cupy', 'torch', 'matplotlib', 'tqdm', 'pandas', 'sklearn', 'numba',
'PIL'}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_chainrule_warns_of_nothing_and_leaves_numpy_as_it_is():
    code = """
import warnings
warnings.simplefilter('error')
import numpy as np
before = np.geterr(), np.get_printoptions()
import chainrule
assert (np.geterr(), np.get_printoptions()) == before
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- what forwards and rules may use --------------------------------------------------------------------------------

#: names whose attributes may be called in a forward or rule: the namespace, and modules of plain numbers
CALLABLE = {"xp", "math", "np", "operator", "itertools", "dtypes", "string", "dict"}
#: attributes that an array and a Tensor have with one meaning
READABLE = {"shape", "dtype", "ndim", "itemsize"}
#: forwards that only ever see arrays may look at their memory: its order, and NumPy's mark on broadcast views
MEMORY = {"_empty_image": {"strides"}, "view_scatter": {"flags"}}


def takes_xp(node):
    args = node.args.posonlyargs + node.args.args
    return bool(args) and args[0].arg == "xp"


def array_code(tree):
    """Functions and lambdas that are written for arrays and Tensors alike: their first parameter is ``xp``."""
    found = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.Lambda)) and takes_xp(n)]
    return sorted(found, key=lambda n: n.lineno)


def root(node):
    """The name that an attribute chain starts with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def strings_and_lists(function):
    """Local names that only ever hold Python lists, strings, dicts or sets made here."""
    made = (ast.List, ast.ListComp, ast.Dict, ast.DictComp, ast.Set, ast.SetComp, ast.Constant, ast.JoinedStr,
    ast.Tuple)
    plain, other = set(), set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names = [target] if isinstance(target, ast.Name) else getattr(target, "elts", [])
                values = [node.value] if isinstance(target, ast.Name) else getattr(node.value, "elts",
                    [None] * len(names))
                for name, v in zip(names, values, strict=False):
                    if isinstance(name, ast.Name):
                        (plain if isinstance(v, made) else other).add(name.id)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            (plain if isinstance(node.value, made) else other).add(node.target.id)
    return plain - other


def body(function):
    """The nodes of a function without its decorators and defaults."""
    for part in function.body if isinstance(function, ast.FunctionDef) else [function.body]:
        yield from ast.walk(part)


def array_methods(function):
    plain = strings_and_lists(function)
    memory = MEMORY.get(getattr(function, "name", ""), set())
    for node in body(function):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            holder = node.func.value
            if root(holder) in CALLABLE or (isinstance(holder, ast.Name) and holder.id in plain):
                continue
            if isinstance(holder, (ast.Constant, ast.JoinedStr, ast.List, ast.Dict)):
                continue
            if isinstance(holder, ast.Call) and isinstance(holder.func, ast.Attribute) and root(holder.func) == "np":
                continue  # a NumPy array of plain numbers: np.argsort(axes).tolist()
            yield node.lineno, ast.unparse(node)[:80]
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            allowed = root(node) in CALLABLE or node.attr in READABLE | memory
            if not allowed and not is_call_target(function, node) and not is_memory(node, memory):
                yield node.lineno, ast.unparse(node)[:80]


def is_memory(node, memory):
    return isinstance(node.value, ast.Attribute) and node.value.attr in memory


def is_call_target(function, attribute):
    return any(isinstance(n, ast.Call) and n.func is attribute for n in ast.walk(function))


def test_forwards_and_rules_use_no_array_method():
    """``size``, ``sum``, ``max``, ``sort`` ... mean different things on an ndarray, a CuPy array and a Tensor."""
    wrong = []
    for inside, path in files():
        if part_of(inside) not in ("autograd", "nn") or inside.name in ("runtime.py",):
            continue
        for function in array_code(ast.parse(path.read_text())):
            wrong += [f"{inside}:{line}: {text}" for line, text in array_methods(function)]
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_the_lint_sees_what_it_should():
    tree = ast.parse(
        "lambda xp, g: g.sum()\n"
        "lambda xp, x: x.T\n"
        "def f(xp, x):\n    y = x * 2\n    return y.reshape(3)\n"
        "def g(xp, x):\n    parts = []\n    parts.append(xp.sum(x))\n    return xp.stack(parts), math.prod(x.shape)\n"
        "def h(x):\n    return x.sum()\n"
    )
    found = [text for function in array_code(tree) for _, text in array_methods(function)]
    assert found == ["g.sum()", "x.T", "y.reshape(3)"]


def test_no_module_raises_the_recursion_limit_or_walks_graphs_recursively():
    for inside, path in files():
        assert "setrecursionlimit" not in path.read_text(), inside
    tree = ast.parse((PACKAGE / "autograd" / "engine.py").read_text())
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            calls = {n.func.id for n in ast.walk(function) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
            assert function.name not in calls - {"backward"}, function.name


# ---- documentation --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_public_functions_are_documented_by_an_example_that_runs(name):
    doc = inspect.getdoc(FUNCTIONS[name])
    assert doc, name
    assert doc[0].isupper() or doc[0] in "`-0123456789a"
    if name.endswith("_"):
        assert f":func:`{name[:-1]}`" in doc
        return
    examples = doctest.DocTestParser().get_doctest(doc, {}, name, None, 0)
    assert examples.examples, f"{name} has no example"
    said = []
    with cr.device("cpu"):
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
        runner.run(examples, out=said.append)
    assert not runner.failures, "".join(said)


@pytest.mark.parametrize("name", [n for n in dir(cr.Tensor) if not n.startswith("_") and hasattr(cr.Tensor, n)])
def test_tensor_methods_are_documented(name):
    assert inspect.getdoc(getattr(cr.Tensor, name)), name


def test_every_op_has_a_docstring_and_samples():
    for name, op in OPS.items():
        assert op.doc, name
        assert op.check is not None, name


# ---- size -----------------------------------------------------------------------------------------------------------

#: the Tensor is one class
LONGER = {"autograd/tensor.py": 500}


def test_files_are_short():
    long = {}
    for inside, path in files():
        lines = len(path.read_text().splitlines())
        if lines > LONGER.get(inside.as_posix(), 450):
            long[inside.as_posix()] = lines
    assert not long


def test_no_type_or_lint_rule_is_switched_off_wholesale():
    for inside, path in files():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert "# type: ignore" not in line or "# type: ignore[" in line, f"{inside}:{number}"
            assert "# noqa" not in line or "# noqa:" in line, f"{inside}:{number}"
