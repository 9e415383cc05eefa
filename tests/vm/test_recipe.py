"""The name of an image depends on its recipe, and the dependencies are read from the package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from deb.package import needed

from .recipe import Recipe, recipe

PLAIN = recipe("trixie", ("python3-yaml",))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(PLAIN, suite="bookworm"), id="suite"),
        pytest.param(replace(PLAIN, packages=(*PLAIN.packages, "more")), id="packages"),
        pytest.param(replace(PLAIN, early={**PLAIN.early, "etc/more": ""}), id="early files"),
        pytest.param(replace(PLAIN, late={**PLAIN.late, "etc/hostname": "other\n"}), id="late files"),
    ],
)
def test_another_recipe_is_another_image(other: Recipe) -> None:
    assert other.name != PLAIN.name


def test_the_order_of_packages_is_nobodys_matter() -> None:
    assert recipe("trixie", ("b", "a")).name == recipe("trixie", ("a", "b", "a")).name


def test_a_folder_with_a_space_is_one_word_of_the_hook() -> None:
    argv = PLAIN.bootstrap(Path("/a b/seed"), Path("/a b/tree"))
    assert "cp --recursive --no-dereference '/a b/seed/.' \"$1\"" in " ".join(argv)
    assert argv[-2:] == ["trixie", "/a b/tree"]


@pytest.mark.parametrize(
    ("field", "names"),
    [
        pytest.param("", [], id="none"),
        pytest.param("a", ["a"], id="one"),
        pytest.param(
            "python3 (>= 3.11~), python3:any, libc6 (>= 2.34)", ["python3", "python3", "libc6"], id="versions"
        ),
        pytest.param("a | b (= 1), c [amd64]", ["a", "c"], id="alternatives"),
        pytest.param("g++-12, libstdc++6,\n x2.0-dev", ["g++-12", "libstdc++6", "x2.0-dev"], id="signs"),
    ],
)
def test_what_a_package_needs(field: str, names: list[str]) -> None:
    assert needed(field) == names
