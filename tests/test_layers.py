"""The layers of ARCHITECTURE.md hold: imports only point down, siblings do not import each other,
and each library is imported in one place.

The table here is that of ARCHITECTURE.md. A package that is missing from it fails the test, so no
package is added without a layer.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tqunits"
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted(Path(__file__).parent.rglob("*.py"))

LAYER = {
    "late_pattern": -2,
    "light_dataclass": -2,
    "errors": -1,
    "health": -1,
    "resources": -1,
    "layout": -1,
    "printable": -1,
    "watch": -1,
    "model": 0,
    "placeholders": 0,
    "boot": 0,
    "config": 1,
    "units": 1,
    "http": 1,
    "routing": 1,
    "metrics": 1,
    "lifecycle": 1,
    "system": 2,
    "control": 2,
    "proxy": 3,
    "host": 3,
    "manager": 4,
    "cli": 5,
    "__main__": 6,
    "alone": 0,  # programs in a worker's unit, and the modules that they consist of
    "leave": 1,  # forwards to alone/, for units of earlier releases
    "gate": 1,
}

PROXY_ROOMS = {
    "reactor": 0,
    "log": 0,
    "transport": 1,
    "upstream": 2,
    "routes": 3,
    "downstream": 4,
    "front": 5,
    "": 6,  # the files at the top of proxy/
}

NEVER = {"host": {"cli", "proxy"}, "control": {"cli", "proxy"}, "proxy": {"cli", "host"}, "manager": {"cli", "proxy"}}

LOOP = {"Watched", "Timed"}
"""Classes that the loop calls. They are base classes, because every event and every deadline of the
router goes through them."""

DOORS = {
    "pystemd": {"system/dbus.py"},
    "jinja2": {"units/templates.py"},
    "yaml": {"config/nodes.py"},
    "uvloop": {"system/loop.py"},
    "inotify_simple": {"system/inotify_queue.py"},
    "subprocess": {"system/process.py"},
}

IMPURE = {"asyncio", "logging", "os", "socket", "subprocess", "time", "pathlib.Path", "random", "threading", "io"}
PURE_LAYERS = {-1, 0, 1}
DECIDING = {PACKAGE / "host/plan.py", PACKAGE / "host/routes.py"}
"""Modules that only decide, in packages whose other modules act."""

FORWARDS = {PACKAGE / "gate.py", PACKAGE / "leave.py"}
"""Where units of earlier releases look for programs of alone/."""

SHARED = {PACKAGE / "alone/variables.py"}
"""Modules of alone/ that other packages import too: they are pure."""

FILES_TWICE = {
    "__init__.py": "marks a package",
    "gate.py": "a forward to alone/ for units of earlier releases, which know the path",
    "leave.py": "the same",
    "roles.py": "what a room of the router asks of those above it",
}
CLASSES_TWICE = {
    "Worker": "what is configured (model.py), and what a process of the router has of it (proxy/upstream/worker.py)",
    "End": "how an exchange ended (metrics/access_formats.py), and one end of a relay (proxy/transport/relay.py)",
}
"""Names that two things have, with the reason. The file of a verb has the verb's name, so the
function that the verb calls has another one."""


@cache
def tree(path: Path) -> ast.Module:
    """A file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"))


def room(path: Path) -> str:
    """The first part of a module's path below the package: one of our packages, or a top-level
    module."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every imported name of a file, dotted, also those inside functions."""
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(name: str) -> str | None:
    """The layer of an imported name of ours; None for the package itself and for foreign names."""
    parts = name.split(".")
    return parts[1] if parts[0] == "tqunits" and len(parts) > 1 and parts[1] in LAYER else None


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return
    here = room(path)
    assert here in LAYER, f"{here} is in no layer of the table"
    for name in imports(path):
        there = own(name)
        if there is not None and there != here:
            assert LAYER[there] < LAYER[here], f"{here} (layer {LAYER[here]}) imports {name} (layer {LAYER[there]})"


def proxy_room(parts: Sequence[str]) -> str:
    """The layer of a module of the router, by its names below proxy/."""
    return parts[0] if parts and parts[0] in PROXY_ROOMS else ""


@pytest.mark.parametrize("path", sorted((PACKAGE / "proxy").rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_in_the_router_imports_point_from_the_door_to_the_loop(path: Path) -> None:
    below = path.relative_to(PACKAGE / "proxy").parts[:-1]
    here = proxy_room(below)
    assert not below or here, f"{path} is in no room of the table"
    for name in imports(path):
        if name.startswith("tqunits.proxy."):
            there = proxy_room(name.split(".")[2:])
            assert there == here or PROXY_ROOMS[there] < PROXY_ROOMS[here], f"{here or 'top'} imports {name}"


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def test_no_imports_go_in_a_circle() -> None:
    modules = {module_of(path): path for path in FILES}
    asked = {
        name: {m for found in imports(path) for m in (found, found.rpartition(".")[0]) if m in modules and m != name}
        for name, path in modules.items()
    }
    while free := [name for name, others in asked.items() if not others & asked.keys()]:
        for name in free:
            del asked[name]
    assert not asked, "these import each other, or who does"


def bases() -> dict[str, list[str]]:
    """The base classes of each class that has some. A trait is a role and adds nothing. The loop's
    base classes may be below all others."""
    trees = [tree(path) for path in FILES]
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    names = {one.name for one in classes if "trait" not in map(ast.unparse, one.decorator_list)} - LOOP
    return {one.name: [base for base in map(ast.unparse, one.bases) if base in names] for one in classes}


def test_no_class_stands_on_more_than_two_others() -> None:
    below = bases()

    def depth(name: str) -> int:
        return max((1 + depth(base) for base in below[name]), default=0)

    assert {name: depth(name) for name in below if depth(name) > 2} == {}
    assert max(map(depth, below)) == 2


@pytest.mark.parametrize(
    "path", [p for p in FILES if room(p) != "alone" and p not in FORWARDS], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_no_import_is_for_types_alone(path: Path) -> None:
    """An import for types alone would hide a circle. Programs of alone/ have a reason of their own:
    they start in milliseconds. light_dataclass.py tells the checkers of a decorator of the standard
    library."""
    assert path.name == "light_dataclass.py" or "TYPE_CHECKING" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [p for p in FILES if room(p) in NEVER], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_what_must_never_be_imported_is_not(path: Path) -> None:
    """Independent of the layers: two sides that only communicate by a file or by a socket."""
    assert not {own(name) for name in imports(path)} & NEVER[room(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_each_library_has_one_importer(path: Path) -> None:
    here = str(path.relative_to(PACKAGE))
    for name in imports(path):
        library = name.split(".")[0]
        assert library not in DOORS or here in DOORS[library], f"{here} imports {library}"


@pytest.mark.parametrize(
    "path", [p for p in FILES if LAYER.get(room(p)) in PURE_LAYERS or p in DECIDING], ids=lambda p: p.name
)
def test_the_core_is_pure(path: Path) -> None:
    if path in FORWARDS or (room(path) == "alone" and path not in SHARED):
        return
    found = {name for name in imports(path) if name in IMPURE or name.split(".")[0] in IMPURE}
    assert not found, f"{path} does input or output, or asks a clock: {sorted(found)}"


@pytest.mark.parametrize("path", sorted(DECIDING), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_what_decides_asks_nobody_who_acts(path: Path) -> None:
    """Its layer alone would allow the import."""
    asked = {there for there in map(own, imports(path)) if there is not None}
    assert {there for there in asked if LAYER[there] not in PURE_LAYERS} == set()


@pytest.mark.parametrize("path", [p for p in FILES if room(p) == "alone"], ids=lambda p: p.name)
def test_what_is_alone_imports_nothing_of_ours_but_its_neighbours(path: Path) -> None:
    assert {own(name) or name for name in imports(path) if name.split(".")[0] == "tqunits"} <= {"alone"}


@pytest.mark.parametrize(
    "path", [p for p in FILES if room(p) != "alone" and p not in FORWARDS], ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_only_what_is_shared_of_alone_is_imported(path: Path) -> None:
    shared = {f"tqunits.alone.{each.stem}." for each in SHARED}
    assert all(f"{name}.".startswith(tuple(shared)) for name in imports(path) if own(name) == "alone")


def test_variables_import_nothing() -> None:
    """The launcher imports it at each start, and has to start in milliseconds."""
    assert list(imports(PACKAGE / "alone/variables.py")) == []


@pytest.mark.parametrize("path", [*FILES, *TESTS], ids=lambda p: str(p.relative_to(PACKAGE.parent)))
def test_no_file_outgrows_a_reader(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600


def test_no_file_name_stands_twice() -> None:
    assert twice(path.name for path in FILES) == FILES_TWICE.keys()


def test_no_class_name_stands_twice() -> None:
    assert twice(name for path in FILES for name in classes(path)) == CLASSES_TWICE.keys()


def twice(names: Iterable[str]) -> set[str]:
    return {name for name, count in Counter(names).items() if count > 1}


def classes(path: Path) -> Iterator[str]:
    nodes = ast.walk(tree(path))
    return (node.name for node in nodes if isinstance(node, ast.ClassDef))
