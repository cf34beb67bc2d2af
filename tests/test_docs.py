"""The generated pages of docs/ say what the package has."""

from __future__ import annotations

import importlib.util
import json
import re
import sys

import pytest

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def generate(checkout):
    """The script that writes the pages."""
    spec = importlib.util.spec_from_file_location("generate_docs", checkout / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["operators.md", "pytorch.md"])
def test_a_page_is_fresh(generate, checkout, page):
    assert (checkout / "docs" / page).read_text() == generate.PAGES[page](), "run python docs/generate.py"


def test_every_op_is_listed_and_checked(generate):
    from chainrule.autograd.op import OPS

    rows = re.findall(r"^\| `(\w+)` \|.*\| (2.*|none) \| (\S+) \|", generate.operators_page(), re.MULTILINE)
    assert [name for name, _, _ in rows] == sorted(OPS)


def test_no_name_of_pytorch_is_missing(generate):
    names = json.loads(generate.NAMES.read_text())["modules"]
    missing = [f"{m}.{n}" for m in generate.MODULES for n in names[m] if generate.status(m, n)[0] == "missing"]
    assert not missing


@pytest.mark.oracle
def test_the_list_of_names_is_that_of_pytorch(generate):
    torch = pytest.importorskip("torch")
    known = json.loads(generate.NAMES.read_text())
    if torch.__version__.split("+")[0] != known["version"]:
        pytest.skip(f"the list is of torch {known['version']}, installed is {torch.__version__}")
    assert generate.pytorch_names() == known["modules"]
