"""The suite tests what a package ships: the data path as C extensions, all other modules as
Python."""

from __future__ import annotations

import importlib
from importlib.machinery import EXTENSION_SUFFIXES

from setup import ROOT, compiled


def test_the_data_path_runs_compiled() -> None:
    modules = {path: importlib.import_module(path.removesuffix(".py").replace("/", ".")) for path in compiled()}
    interpreted = [path for path, module in modules.items() if not str(module.__file__).endswith(EXTENSION_SUFFIXES[0])]
    assert not interpreted, "make compiled"


def test_nothing_else_is_compiled() -> None:
    extensions = {str(path.relative_to(ROOT)).partition(".")[0] for path in ROOT.glob("tqunits/**/*.so")}
    assert extensions == {path.removesuffix(".py") for path in compiled()}
