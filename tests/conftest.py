"""What all tests share: which of them can run here, and where their data is."""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# what is asserted in these is explained as in a test
pytest.register_assert_rewrite("both_sides", "profiler_cases", "saving_cases", "sequence_cases")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, with the reason."""
    if any(item.get_closest_marker("oracle") for item in items) and importlib.util.find_spec("torch") is None:
        _skip(items, "oracle", "torch is not installed (pip install 'chainrule[oracle]')")
    if any(item.get_closest_marker("gpu") for item in items):
        import chainrule

        if not chainrule.cuda.is_available():
            _skip(items, "gpu", "no CUDA device that CuPy can use (pip install 'chainrule[cuda13]')")


def _skip(items: list[pytest.Item], marker: str, reason: str) -> None:
    for item in items:
        if item.get_closest_marker(marker):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with data sets that are too large for the repository."""
    folder = os.environ.get("CHAINRULE_DATA")
    if not folder:
        pytest.skip("CHAINRULE_DATA is not set: it names the folder that holds mnist/ and other data sets")
    if not Path(folder).is_dir():
        pytest.fail(f"CHAINRULE_DATA: expected a folder, got {folder!r}")
    return Path(folder)


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout; tests that look at its files skip where the tests run without it."""
    root = Path(__file__).resolve().parent.parent
    if not (root / "chainrule" / "version.py").is_file():
        pytest.skip("the tests run outside a checkout")
    return root


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Only reference counting frees anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
