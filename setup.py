"""Compiles what runs for every request: mypyc makes a C extension of each module, from the Python
that stands there. Names the files that are installed beside the package.

pyproject.toml has all the rest. `python setup.py build_ext --inplace` compiles beside the sources
(`make compiled`); TQUNITS_INTERPRETED=1 makes a package without extensions, for where there is no C
compiler. Where a folder `generated` lies beside this file, as in Debian's source package, the C
sources are there already (packaging/c_sources.py), and nothing but a C compiler is needed.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
GENERATED = "generated"
"""The folder of the C sources: the library of all modules, a stub for each, and mypyc's own C
files (packaging/c_sources.py)."""

INWARDS = "-fvisibility=hidden"
"""The modules call each other without a detour, as if they were one source: nobody else calls them
by name.
"""

GROUP = "tqunits"
LIBRARY = f"{GROUP}__mypyc"
ROUTING = {"routing/select.py", "routing/table.py"}
"""What routing/ does for each request. The rest is for each file of routes or order that is read:
install, which writes them, and `tqunits ls`, which reads them too, do without the library.
"""

SHARED = {
    "share/bash-completion/completions": ("packaging/completions/tqunits.bash",),
    "share/zsh/site-functions": ("packaging/completions/_tqunits",),
    "share/fish/vendor_completions.d": ("packaging/completions/tqunits.fish",),
}
"""Where shells look for completions, below the prefix that the package is installed to."""


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
    return from_c() if (ROOT / GENERATED).is_dir() else from_python()


def from_python() -> list[Extension]:
    """The C sources are made now, below `build`: one of each module, so that two processors need
    half the time."""
    from mypyc.build import mypycify  # a requirement of the build, not of the package

    os.chdir(ROOT)
    options = ["--config-file=", "--ignore-missing-imports", "--python-version=3.11"]  # types are checked elsewhere
    made = mypycify([*options, *compiled()], group_name=GROUP, opt_level="2", debug_level="0", multi_file=True)
    found = cast("list[Extension]", made)  # they are setuptools' own, which its types do not say
    for extension in found:
        extension.extra_compile_args.append(INWARDS)
    return found


def from_c() -> list[Extension]:
    """Of the C sources that are there. Without symbols for a debugger: they would be ten times as
    large, and tell of C that nobody has written."""
    folders = [GENERATED, f"{GENERATED}/lib-rt"]
    sources = sorted(str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).glob("*.c"))
    headers = [*folders, f"{GENERATED}/lib-rt/include"]
    library = Extension(LIBRARY, sources, include_dirs=headers, extra_compile_args=["-g0", INWARDS])
    stubs = [module.removesuffix(".py") for module in compiled()]
    return [library, *map(_stub, stubs)]


class SideBySide(build_ext):
    """All sources of the library are compiled at once, one on each processor; setuptools would take
    one after the other."""

    def build_extensions(self) -> None:
        compile_one = self.compiler.compile

        def compile_all(sources: Sequence[str], **options: object) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                made = pool.map(lambda source: compile_one([source], **options), sources)
                return [path for paths in made for path in paths]

        self.compiler.compile = compile_all
        super().build_extensions()


def _stub(module: str) -> Extension:
    """It calls Python alone; a shared library that names no library at all looks like a mistake of
    its linker."""
    linked = ["-Wl,--no-as-needed", "-lc"]
    return Extension(module.replace("/", "."), [f"{GENERATED}/{module}.c"], extra_link_args=linked)


def man_pages() -> Mapping[str, list[str]]:
    """Folder below the prefix -> the pages that belong there, relative to the root: by their
    sections, whatever they are called."""
    pages = sorted(path.relative_to(ROOT) for path in (ROOT / "packaging/man").glob("*.[1-8]"))
    folders = {f"share/man/man{page.suffix[1:]}" for page in pages}
    return {folder: [str(page) for page in pages if page.suffix[1:] == folder[-1]] for folder in sorted(folders)}


def data_files() -> list[tuple[str, Sequence[str]]]:
    """The man pages and the completions, by the folder below the prefix."""
    return [*man_pages().items(), *SHARED.items()]


if __name__ == "__main__":
    shipped = ["tqunits.completions", "tqunits.unit_templates"]  # folders of the tree that hold no Python
    setup(
        packages=[*find_packages(include=["tqunits", "tqunits.*"]), *shipped],
        ext_modules=extensions(),
        data_files=data_files(),
        cmdclass={"build_ext": SideBySide},
    )
