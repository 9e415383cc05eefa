"""Compiles what runs for every request: mypyc makes a C extension of each module, from the Python
that stands there.

pyproject.toml has all the rest. `python setup.py build_ext --inplace` compiles beside the sources
(`make compiled`); TQUNITS_INTERPRETED=1 makes a package without extensions, for where there is no C
compiler.
"""

import os
from pathlib import Path
from typing import cast

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).parent
ROUTING = {"routing/select.py", "routing/table.py"}
"""What routing/ does for each request. The rest is for each file of routes or order that is read:
install, which writes them, and `tqunits ls`, which reads them too, do without the library.
"""


def compiled() -> list[str]:
    """The modules that are compiled: the pure rooms of the data path, and those of the router; not
    what is at its top.

    Relative to the root.
    """
    package = ROOT / "tqunits"
    rooms = [package / room for room in ("http", "metrics")]
    rooms += [path for path in (package / "proxy").iterdir() if path.is_dir()]
    found = {str(path.relative_to(package)) for room in rooms for path in room.glob("[!_]*.py")}
    return sorted(f"tqunits/{module}" for module in found | ROUTING)


def extensions() -> list[Extension]:
    """One shared library for all of them, so that calls from one to another are plain calls, and a
    stub for each."""
    if os.environ.get("TQUNITS_INTERPRETED"):
        return []
    from mypyc.build import mypycify  # a requirement of the build, not of the package

    os.chdir(ROOT)
    options = ["--config-file=", "--ignore-missing-imports"]  # types are checked elsewhere
    made = mypycify([*options, *compiled()], group_name="tqunits", opt_level="2", debug_level="0")
    return cast("list[Extension]", made)  # they are setuptools' own, which its types do not say


if __name__ == "__main__":
    shipped = ["tqunits.completions", "tqunits.unit_templates"]  # folders of the tree that hold no Python
    setup(packages=[*find_packages(include=["tqunits", "tqunits.*"]), *shipped], ext_modules=extensions())
