"""Compiles what runs for every request: mypyc makes a C extension of each module, from the Python that stands there.

pyproject.toml has all the rest. `python setup.py build_ext --inplace` compiles beside the sources (`make compiled`);
TQUNITS_INTERPRETED=1 makes a package without extensions, for where there is no C compiler.
"""

import os
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
ROOMS = ("http", "metrics", "proxy", "routing")
INTERPRETED = {
    "proxy/certificates.py",  # once per certificate
    "proxy/control.py",  # once per question of an operator
    "proxy/leaving.py",  # once per stop of a worker
    "proxy/listen.py",  # at the start
    "proxy/local_http.py",  # for those two; and mypyc 2.4 fails on one of its coroutines
    "proxy/service.py",  # at the start and the end
    "proxy/serving.py",  # once per start and stop of a worker, and every few seconds
    "routing/traffic.py",  # once per order; and `tqunits ls`, which reads it too, does without the library
}


def compiled() -> list[str]:
    """The modules that are compiled, relative to the root: the rooms of the data path, but for what runs seldom."""
    package = ROOT / "tqunits"
    found = {str(path.relative_to(package)) for room in ROOMS for path in (package / room).glob("[!_]*.py")}
    return sorted(f"tqunits/{module}" for module in found - INTERPRETED)


def extensions() -> list[object]:
    """One shared library for all of them, so that calls from one to another are plain calls, and a stub for each."""
    if os.environ.get("TQUNITS_INTERPRETED"):
        return []
    from mypyc.build import mypycify  # a requirement of the build, not of the package

    os.chdir(ROOT)
    options = ["--config-file=", "--ignore-missing-imports"]  # types are checked elsewhere
    return list(mypycify([*options, *compiled()], group_name="tqunits", opt_level="2", debug_level="0"))


if __name__ == "__main__":
    setup(ext_modules=extensions())
