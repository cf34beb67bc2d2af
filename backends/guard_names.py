"""Write ``guard_names.json``: what CuPy has, so that the guard offers nothing else.

Run it in an environment with the CuPy of the committed list; no GPU is needed::

    pip install cupy-cuda13x==14.2.0 ml_dtypes
    python backends/guard_names.py
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

LIST = Path(__file__).with_name("guard_names.json")

_MODULES = ("", "linalg", "fft", "lib.stride_tricks")
# einsum takes its keywords as **kwargs and refuses all but these (cupy/linalg/_einsum.py)
_HIDDEN_KEYWORDS = {"einsum": ["dtype", "optimize"]}
_SCALAR_TYPES = "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128"


def _parameters(signature: inspect.Signature, hidden: list[str]) -> dict[str, Any]:
    kinds = inspect.Parameter
    found: dict[str, Any] = {"args": [], "keywords": list(hidden), "varargs": False, "positional_only": []}
    for name, p in signature.parameters.items():
        if p.kind is kinds.VAR_POSITIONAL:
            found["varargs"] = True
        elif p.kind is kinds.KEYWORD_ONLY:
            found["keywords"].append(name)
        elif p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD):
            found["args"].append(name)
            if p.kind is kinds.POSITIONAL_ONLY:
                found["positional_only"].append(name)
    return {k: v for k, v in found.items() if v}


def _from_docstring(function: Any) -> dict[str, Any] | None:
    """The parameters of a compiled function, which Cython writes into the first line of its docstring."""
    first = (getattr(function, "__doc__", None) or "").split("\n")[0]
    match = re.fullmatch(r"[\w.]+\((.*)\)(?: -> .*)?", first)
    if match is None:
        return None
    names = [re.sub(r"^_ndarray_base ", "", p.strip()) for p in match[1].split(",") if p.strip()]
    found: dict[str, Any] = {"args": [], "keywords": [], "varargs": False}
    for name in (n.split("=")[0].strip() for n in names):
        if name.startswith("**"):
            continue
        if name.startswith("*"):
            found["varargs"] = bool(name[1:])
            into = "keywords"
        else:
            into = "keywords" if found["varargs"] else "args"
            if name != "self":
                found[into].append(name)
    return {k: v for k, v in found.items() if v}


def _members(cupy: Any, module: Any) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name in sorted(vars(module)):
        value = getattr(module, name)
        if name.startswith("_") or not callable(value) or isinstance(value, type):
            continue
        if isinstance(value, cupy.ufunc):
            members[name] = {"ufunc": [value.nin, value.nout], "keywords": ["out", "dtype", "casting"]}
            continue
        try:
            found: dict[str, Any] | None = _parameters(inspect.signature(value), _HIDDEN_KEYWORDS.get(name, []))
        except (TypeError, ValueError):
            found = _from_docstring(value)
        if found is not None:
            members[name] = found
    return members


def collect() -> dict[str, Any]:
    """The names of the installed CuPy."""
    cupy = importlib.import_module("cu" + "py")  # spelled so that "import" of it stands in cuda.py only
    modules = {
        m: _members(cupy, importlib.import_module(f"{cupy.__name__}.{m}" if m else cupy.__name__)) for m in _MODULES
    }
    methods: dict[str, Any] = {}
    for name in sorted(dir(cupy.ndarray)):
        if not name.startswith("_"):
            value = getattr(cupy.ndarray, name)
            methods[name] = (_from_docstring(value) or {}) if callable(value) else None
    return {
        "cupy": cupy.__version__,
        "types": [t for t in _SCALAR_TYPES.split() if hasattr(cupy, t)],
        "modules": modules,
        "ndarray": methods,
    }


if __name__ == "__main__":
    names = collect()
    # one member per line keeps the diffs of an upgrade readable
    lines = ["{", f' "cupy": {json.dumps(names["cupy"])},', f' "types": {json.dumps(names["types"])},', ' "modules": {']
    lines.append(
        ",\n".join(
            f'  "{m}": {{\n' + ",\n".join(f"   {json.dumps(k)}: {json.dumps(v)}" for k, v in members.items()) + "\n  }"
            for m, members in names["modules"].items()
        )
    )
    lines += [" },", ' "ndarray": {']
    lines.append(",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in names["ndarray"].items()))
    lines += [" }", "}"]
    LIST.write_text("\n".join(lines) + "\n")
    total = sum(len(m) for m in names["modules"].values())
    print(f"{LIST.name}: CuPy {names['cupy']}, {total} functions, {len(names['ndarray'])} members of ndarray")
