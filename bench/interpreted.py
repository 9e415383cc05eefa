"""The router's sources run as such, though they are compiled: to compare, and for what looks at bytecode."""

from __future__ import annotations

import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path

_PACKAGE = Path(__file__).parents[1] / "tqunits"
_find = FileFinder.path_hook((SourceFileLoader, SOURCE_SUFFIXES))


def interpret() -> None:
    """From now on `import tqunits.x` takes the source and no extension. To be called before the first of them."""
    sys.path_hooks.insert(0, _sources_of_ours)
    sys.path_importer_cache.clear()


def _sources_of_ours(path: str) -> object:
    if not Path(path).is_relative_to(_PACKAGE):
        raise ImportError(path)
    return _find(path)
