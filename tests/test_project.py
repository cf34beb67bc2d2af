"""The project's own files: versions, links, markers, and what the checkout may name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import pytest

from chainrule.version import __version__

pytestmark = pytest.mark.host


@pytest.fixture(scope="module")
def pyproject(checkout: Path) -> dict[str, Any]:
    """The contents of pyproject.toml."""
    return tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tracked(checkout: Path) -> list[Path]:
    """The text files that git tracks, relative to the checkout."""
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        pytest.skip("no git checkout")
    listing = subprocess.run([git, "ls-files", "-z"], cwd=checkout, capture_output=True, check=True, text=True).stdout
    paths = [Path(name) for name in listing.split("\0") if name]
    return [path for path in paths if (checkout / path).is_file() and not (checkout / path).is_symlink()]


def test_the_installed_version_is_the_one_of_the_source() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc|\.dev)\d+)?", __version__)
    try:
        installed = installed_version("chainrule")
    except PackageNotFoundError:
        pytest.skip("chainrule is not installed: the tests run on the checkout itself")
    assert installed == __version__


def test_the_version_stands_in_one_place(checkout: Path, tracked: list[Path]) -> None:
    literal = re.compile(r"version\w*\s*=\s*[\"']" + re.escape(__version__))
    found = [str(path) for path in tracked if literal.search((checkout / path).read_text("utf-8", errors="ignore"))]
    assert found == [str(Path("chainrule", "version.py"))]


def test_the_folder_x_is_the_package_chainrule_x(checkout: Path) -> None:
    links = {path.name: os.readlink(path) for path in (checkout / "chainrule").iterdir() if path.is_symlink()}
    assert links == {name: f"../{name}" for name in ("autograd", "backends", "benchmarks", "nn", "optim")}


def test_lower_bounds_have_the_form_that_the_lowest_versions_test_reads(pyproject: dict[str, Any]) -> None:
    for requirement in pyproject["project"]["dependencies"]:
        assert re.fullmatch(r"[\w-]+>=[\d.]+", requirement), requirement


def test_only_ci_knows_where_the_shared_data_is(checkout: Path, tracked: list[Path]) -> None:
    shared = "../" + "shared"
    found = [path.as_posix() for path in tracked if shared in (checkout / path).read_text("utf-8", errors="ignore")]
    assert found == [".ci/run"]


def test_warnings_are_errors_and_markers_are_strict(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getini("filterwarnings")[0] == "error"
    assert pytestconfig.getoption("strict_markers")
    assert pytestconfig.getini("xfail_strict")
