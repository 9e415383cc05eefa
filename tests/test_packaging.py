"""What a user installs: the wheel holds every template and every man page, and runs in a virtual
environment outside the checkout."""

import re
import runpy
import shutil
import subprocess
import zipfile
from pathlib import Path

import mypyc
import pytest
from built_wheel import built, python
from mypyc.common import RUNTIME_C_FILES

from setup import SHARED, compiled
from tqunits import __version__
from tqunits.cli.verbs.completion import FILES

ROOT = Path(__file__).parent.parent
TEMPLATES = sorted(path.name for path in (ROOT / "unit-templates").glob("*.j2"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources alone; all tests but those with the mark `long` need no more."""
    return built(tmp_path_factory, TQUNITS_INTERPRETED="1")


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the wheel, laid out as pip does."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_every_module_and_every_template(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "tqunits").rglob("*.py")}
    assert modules | {f"tqunits/unit_templates/{name}" for name in TEMPLATES} <= held
    assert {f"tqunits/completions/{name}" for name in FILES.values()} <= held


def test_the_wheel_holds_nothing_but_the_package(wheel: Path) -> None:
    assert _tops(wheel) == {"tqunits"}


def test_the_wheel_holds_the_pages_and_completions_where_they_are_looked_for(wheel: Path) -> None:
    held = {name.partition(".data/data/")[2]: name for name in zipfile.ZipFile(wheel).namelist() if ".data/" in name}
    pages = {f"share/man/man{page.suffix[1:]}/{page.name}" for page in (ROOT / "packaging/man").glob("*.[1-8]")}
    shells = {f"{folder}/{Path(file).name}" for folder, files in SHARED.items() for file in files}
    assert set(held) == pages | shells


@pytest.mark.long
def test_with_a_compiler_the_wheel_holds_the_router_compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    wheel = built(tmp_path_factory)
    held = {name.partition(".")[0] for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")}
    assert held == {module.removesuffix(".py") for module in compiled()} | {"tqunits__mypyc"}
    assert _tops(wheel) == {"tqunits", "tqunits__mypyc"}


def test_without_a_compiler_there_is_a_wheel_without_extensions(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]


def test_the_wheel_names_the_command_and_what_it_needs(unpacked: Path) -> None:
    information = next(unpacked.glob("*.dist-info"))
    assert "tqunits = tqunits.cli.main:process" in (information / "entry_points.txt").read_text(encoding="utf-8")
    metadata = (information / "METADATA").read_text(encoding="utf-8")
    assert {"pystemd", "jinja2", "pyyaml", "uvloop"} <= set(_requirements(metadata))


def test_the_installed_command_runs_away_from_the_checkout(unpacked: Path, tmp_path: Path) -> None:
    assert _installed(unpacked, tmp_path, "--version").startswith("tqunits ")


def test_the_installed_command_prints_the_shipped_script(unpacked: Path, tmp_path: Path) -> None:
    printed = _installed(unpacked, tmp_path, "completion", "zsh")
    assert printed == (ROOT / "packaging/completions/_tqunits").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TEMPLATES)
def test_an_installed_template_is_the_checkouts(unpacked: Path, name: str) -> None:
    installed = unpacked / "tqunits/unit_templates" / name
    assert installed.read_bytes() == (ROOT / "unit-templates" / name).read_bytes()


def test_there_are_release_notes_of_this_version() -> None:
    notes = [ROOT / "packaging/release-notes"]
    assert subprocess.run(notes, check=True, capture_output=True, text=True).stdout.lstrip().startswith("- ")
    newest = re.search(r"(?m)^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    packaged = (ROOT / "packaging/debian/changelog").read_text(encoding="utf-8").partition("(")[2].partition(")")[0]
    assert newest
    assert newest[1] == packaged
    assert packaged.replace("~", "") == __version__
    assert subprocess.run([*notes, "0.0.9"], check=False, capture_output=True).returncode == 1


def test_the_source_package_has_what_the_c_library_includes(tmp_path: Path) -> None:
    """The headers of Python itself are not part of that library."""
    library = Path(mypyc.__file__).parent / "lib-rt"
    for name in RUNTIME_C_FILES:
        shutil.copy(library / name, tmp_path)
    runpy.run_path(str(ROOT / "packaging/c_sources.py"))["take_library"](tmp_path)
    taken = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.[ch]")}
    included = {name for text in taken.values() for name in re.findall(r'#\s*include "([\w.]+)"', text)}
    assert "static_data.c" in included
    assert {name for name in included if (library / name).exists()} <= set(taken)


def _tops(wheel: Path) -> set[str]:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    return {top.partition(".")[0] for top in tops if not top.endswith((".dist-info", ".data"))}


def _installed(folder: Path, cwd: Path, *arguments: str) -> str:
    """Run the command as its console script does: our package from the wheel, its dependencies from
    the environment."""
    script = "import sys; sys.path.insert(0, sys.argv.pop(1)); import tqunits; "
    script += "assert tqunits.__file__.startswith(sys.path[0]), tqunits.__file__; "
    script += "from tqunits.cli.main import process; sys.exit(process())"
    return python("-I", "-c", script, str(folder), *arguments, cwd=cwd)


def _requirements(metadata: str) -> list[str]:
    lines = [line.removeprefix("Requires-Dist: ") for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    return [line.partition(">")[0].strip().lower() for line in lines]
