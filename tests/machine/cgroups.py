"""The cgroups of a machine: a child of the caller's own cgroup in each hierarchy that systemd uses.

Facts (cgroups(7), cgroup_namespaces(7), "Control Group v2" of the kernel's documentation):
* /proc/self/cgroup has a line per hierarchy, `ID:CONTROLLERS:PATH`; version 2 is the line
  `0::PATH`. Paths are relative to the root of the reader's cgroup namespace, and so is a hierarchy
  that the reader mounts. So this module mounts each itself, in the keeper's private mount
  namespace, and does not care where (and whether) the host has them.
* Version 2: a cgroup other than the real root has either processes or controllers for its children,
  never both.
* A cgroup is removed by rmdir(2), leaves first, when no process is in it.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .kernel import mount

NAME = "tqunits-machine-"  # followed by the process id of the keeper
WANTED = frozenset({"memory", "cpu", "cpuacct", "pids", "blkio", "devices"})  # of version 1, for systemd 252
NEEDED = frozenset({"memory", "cpu", "pids"})
SYSTEMD = "name=systemd"
UNIFIED = ""
ENTERED = "entered"  # for processes of the host that enter the machine; systemd does not touch it
JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 125; shift; done; shift; exec "$@"'
OTHERS = "tqunits-others"  # version 2 on a host without systemd: the host's own processes are moved here


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted hierarchy. `options`: its controllers as mount(8) takes them; empty for version
    2."""

    options: str
    mounted: Path
    parent: Path


def mount_all(stage: Path) -> tuple[Hierarchy, ...]:
    """Mount the hierarchies of this host below `stage`; gives the caller's path in each."""
    own = _own_paths(Path("/proc/self/cgroup").read_text(encoding="ascii"))
    return tuple(_mount(stage, options, path) for options, path in own.items())


def is_unified(hierarchies: tuple[Hierarchy, ...]) -> bool:
    """Whether the controllers are in version 2, the only one that Debian 13 uses by default."""
    return all(h.options == UNIFIED for h in hierarchies)


def make(hierarchies: tuple[Hierarchy, ...], name: str) -> tuple[Path, ...]:
    """The machine's cgroups, one per hierarchy, empty; everything below them is removed."""
    unified = is_unified(hierarchies)
    made = []
    with _locked(hierarchies):
        for hierarchy in hierarchies:
            folder = (_with_controllers(hierarchy) if unified else hierarchy.parent) / name
            remove_tree(folder)
            folder.mkdir()
            made.append(folder)
    return tuple(made)


def entries(folders: tuple[Path, ...]) -> list[str]:
    """The `cgroup.procs` files by which processes enter a machine. They are leaves beside those of
    its systemd, which does not touch them."""
    leaves = [folder / ENTERED for folder in folders]
    for leaf in leaves:
        leaf.mkdir(exist_ok=True)
    return [f"{leaf}/cgroup.procs" for leaf in leaves]


def renew(folders: tuple[Path, ...]) -> None:
    """Make a machine's cgroups anew. In version 2 no process may join a cgroup whose systemd has
    enabled controllers for its children."""
    for folder in folders:
        remove_tree(folder)
        folder.mkdir(exist_ok=True)


def joining(entries: Sequence[str], argv: Sequence[str]) -> list[str]:
    """A command line that moves itself into cgroups by their `cgroup.procs` files, and then
    executes `argv`."""
    return ["sh", "-c", JOIN, "sh", *entries, "--", *argv]


def sweep(hierarchies: tuple[Hierarchy, ...]) -> None:
    """Remove the cgroups of machines whose keepers were killed with SIGKILL."""
    for hierarchy in hierarchies:
        for folder in hierarchy.parent.glob(f"{NAME}*"):
            if not _is_keeper(folder.name.removeprefix(NAME)):
                remove_tree(folder)


def release(hierarchies: tuple[Hierarchy, ...], folders: tuple[Path, ...]) -> None:
    """Remove a machine's cgroups, whose processes must have ended, and undo what `make` did to the
    parent."""
    with _locked(hierarchies):
        for hierarchy, folder in zip(hierarchies, folders, strict=True):
            remove_tree(folder)
            others = folder.parent / OTHERS
            if hierarchy.options == UNIFIED and others.exists() and not any(folder.parent.glob(f"{NAME}*")):
                _move_back(others)


def remove_tree(folder: Path) -> None:
    """rmdir, leaves first. A cgroup that is in use is not removed, nor one that just became empty
    and that the kernel still holds: see sweep."""
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            continue


@contextmanager
def _locked(hierarchies: tuple[Hierarchy, ...]) -> Iterator[None]:
    """Only one keeper at a time makes or releases cgroups. The lock is on the host's version 2
    root, which all keepers share."""
    descriptor = os.open(hierarchies[-1].mounted, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _own_paths(text: str) -> dict[str, str]:
    """Hierarchy options -> the caller's path, in the order of mounting: version 1, systemd's,
    version 2."""
    found: dict[str, str] = {}
    unified = None
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            unified = path
        elif controllers == SYSTEMD or WANTED & set(controllers.split(",")):
            found[controllers] = path
    if set(found) - {SYSTEMD}:
        found.setdefault(SYSTEMD, "/")
    else:
        found.clear()
    if unified is not None:
        found[UNIFIED] = unified
    return found


def _mount(stage: Path, options: str, path: str) -> Hierarchy:
    target = stage / folder_name(options)
    target.mkdir(parents=True)
    mount_at(target, options)
    own = target / path.lstrip("/")
    if own.name == OTHERS:  # the keeper of an earlier machine has moved us to a leaf: machines are siblings
        own = own.parent
    return Hierarchy(options, target, own if own.is_dir() else target)


def mount_at(target: Path, options: str) -> None:
    """Mount the hierarchy of `options` on the folder `target`, seen from the caller's cgroup
    namespace."""
    if options == UNIFIED:
        mount("cgroup2", str(target), "cgroup2")
    else:
        mount("cgroup", str(target), "cgroup", data=f"none,{options}" if options == SYSTEMD else options)


def folder_name(options: str) -> str:
    """The name that systemd expects below /sys/fs/cgroup."""
    return {UNIFIED: "unified", SYSTEMD: "systemd"}.get(options, options)


def _with_controllers(hierarchy: Hierarchy) -> Path:
    """Version 2: the cgroup below which we make children, with its controllers enabled for them."""
    for parent in hierarchy.parent, hierarchy.mounted:
        has = set((parent / "cgroup.controllers").read_text(encoding="ascii").split())
        if has >= NEEDED:
            _hand_down(parent, sorted(has & (WANTED | {"io"})))
            return parent
    raise OSError(f"no cgroup here has the controllers {', '.join(sorted(NEEDED))}")


def _hand_down(parent: Path, controllers: list[str]) -> None:
    if (parent / "cgroup.type").exists():  # not the real root: its processes have to be moved first
        (parent / OTHERS).mkdir(exist_ok=True)
        _move_processes(parent, parent / OTHERS)
    wanted = " ".join(f"+{name}" for name in controllers)
    (parent / "cgroup.subtree_control").write_text(wanted, encoding="ascii")


def _move_back(others: Path) -> None:
    """Undo `_hand_down`, when the last machine is gone."""
    parent = others.parent
    active = (parent / "cgroup.subtree_control").read_text(encoding="ascii").split()
    (parent / "cgroup.subtree_control").write_text(" ".join(f"-{name}" for name in active), encoding="ascii")
    _move_processes(others, parent)
    remove_tree(others)


def _move_processes(source: Path, target: Path) -> None:
    """Repeat until no process is left: one may fork while we read. Threads of the kernel are only
    in the real root."""
    while pids := _processes(source):
        for pid in pids:
            try:
                (target / "cgroup.procs").write_text(pid, encoding="ascii")
            except ProcessLookupError:
                continue


def _processes(folder: Path) -> list[str]:
    return (folder / "cgroup.procs").read_text(encoding="ascii").split()


def _is_keeper(pid: str) -> bool:
    try:
        return b"machine.keeper" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
