"""Run a program with the router's sources interpreted, though they are compiled: to compare, or to
look into it.

    .venv/bin/python -m bench.python interpreted PROGRAM [ARGUMENT]...
    .venv/bin/python -m bench.python interpreted -m tqunits [ARGUMENT]...

For what looks at bytecode or at lines: a profiler, a debugger, coverage.
"""

from __future__ import annotations

import runpy
import sys
from importlib.abc import PathEntryFinder
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tqunits"

_find = FileFinder.path_hook((SourceFileLoader, SOURCE_SUFFIXES))


def interpret() -> None:
    """From now on `import tqunits.x` takes the source and no extension. To be called before the
    first of them."""
    sys.path_hooks.insert(0, _sources_of_ours)
    sys.path_importer_cache.clear()


def _sources_of_ours(path: str) -> PathEntryFinder:
    if not Path(path).is_relative_to(PACKAGE):
        raise ImportError(path)
    return _find(path)


def main() -> None:
    """As python(1) runs a program or a module."""
    del sys.argv[0]
    if not sys.argv:
        sys.exit(__doc__)
    interpret()
    sys.path[0] = str(ROOT)
    if sys.argv[0] == "-m":
        runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(sys.argv[0]).parent))
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
