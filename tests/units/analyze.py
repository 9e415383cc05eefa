"""Runs systemd's own programs on rendered files: verify, security, and the parser. None of them
needs a booted systemd."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tqunits.system.process import Completed, run
from tqunits.units.rendering import RenderedFile

ANALYZE = ["systemd-analyze", "--man=no", "--generators=no"]
VERIFY = [*ANALYZE, "--recursive-errors=no"]
UNIT_BEGINS = re.compile(r"\t?(?:->|→) Unit (.*):")  # the arrow is ASCII up to systemd 252
PROGRAMS = re.compile(r"^Exec[A-Za-z]*=[-+!:@]*\"?([^\s\"]+)", re.MULTILINE)


def write_tree(root: Path, files: Iterable[RenderedFile]) -> None:
    for file in files:
        path = root / file.path.relative_to("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content)


def add_programs(root: Path, files: Iterable[RenderedFile]) -> None:
    """An empty executable at each path where the units expect a program: verify checks that it
    exists."""
    for file in files:
        for program in PROGRAMS.findall(file.content):
            path = root / "usr/bin" / program if "/" not in program else root / program.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(0o755)


def verify(files: tuple[RenderedFile, ...], root: Path) -> Completed:
    """`systemd-analyze verify` of all units, in a root folder of their own, without the units of
    this host."""
    write_tree(root, files)
    add_programs(root, files)
    return run([*VERIFY, f"--root={root}", "verify", *_names(root / "etc/systemd/system")])


def verify_user(files: tuple[RenderedFile, ...], folder: Path) -> Completed:
    """The same for a user's own manager. It has no --root: `folder` is the real place of the
    units."""
    write_tree(Path("/"), files)
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:", "XDG_RUNTIME_DIR": str(folder)}
    return run([*VERIFY, "--user", "verify", *_names(folder)], environment=environment)


def exposures(files: tuple[RenderedFile, ...], root: Path, units: Iterable[str]) -> Mapping[str, float]:
    """Unit -> exposure, as `systemd-analyze security` computes it from template and drop-in
    together."""
    write_tree(root, files)
    add_programs(root, files)
    done = run([*ANALYZE, f"--root={root}", "--no-pager", "security", "--offline=yes", *units])
    assert done.returncode == 0, done.stderr
    return {unit: float(score) for unit, score in re.findall(r"level for (\S+): ([0-9.]+)", done.stdout)}


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that everybody can enter; pytest's own folders are only for its user."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def load(units: Mapping[str, str]) -> Mapping[str, list[tuple[str, str]]]:
    """How systemd itself reads these services: its dump of each, as (field, value) lines.

    `systemd --test` loads a transaction, prints every unit in it and ends. It refuses to run as
    root.
    """
    with scratch() as folder:
        targets = ("basic", "sysinit", "shutdown", "default", "paths", "sockets", "timers")
        wants = "".join(f"Wants={unit}\n" for unit in units)
        files = {f"{name}.target": "[Unit]\nDefaultDependencies=no\n" for name in targets}
        files |= {"all.target": f"[Unit]\nDefaultDependencies=no\n{wants}"} | dict(units)
        for name, text in files.items():
            (folder / name).write_text(text)
        runtime = folder / "runtime"
        runtime.mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(runtime),
            "XDG_RUNTIME_DIR": str(runtime),
            "SYSTEMD_UNIT_PATH": str(folder),
            "SYSTEMD_LOG_TARGET": "console",
        }
        user = None
        if os.geteuid() == 0:
            user = "nobody"
            shutil.chown(runtime, user, pwd.getpwnam(user).pw_gid)
        argv = ["/lib/systemd/systemd", "--test", "--user", "--unit=all.target"]
        done = run(argv, environment=environment, user=user, working_directory=folder)
        assert done.returncode == 0, done.stderr
        return _dumps(done.stdout, units)


def command_lines(dump: list[tuple[str, str]]) -> list[list[str]]:
    return [_split(value) for field, value in dump if field == "Command Line"]


def values(dump: list[tuple[str, str]], field: str) -> list[str]:
    return [value for name, value in dump if name == field]


def _dumps(text: str, units: Iterable[str]) -> Mapping[str, list[tuple[str, str]]]:
    wanted = {unit: list[tuple[str, str]]() for unit in units}
    current: list[tuple[str, str]] = []
    for line in text.split("\n"):
        if begin := UNIT_BEGINS.fullmatch(line):
            current = wanted.get(begin[1], [])
        elif line.startswith("\t"):
            field, _, value = line.strip("\t").partition(": ")
            current.append((field, value))
    return wanted


def _split(line: str) -> list[str]:
    """Undo quote_command_line() of systemd: words are in double quotes with backslashes where
    needed."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"|([^ ]+)', line)
    return [plain if plain else re.sub(r"\\(.)", r"\1", quoted) for quoted, plain in words]


def _names(folder: Path) -> list[str]:
    """Every unit in a folder; a template as its first instance. If a name has a colon, verify would
    read the part before it and take the rest for an alias. The sockets of the router are loaded
    with its processes."""
    found = (path.name for path in folder.glob("*[-.]*") if "tq" in path.name and ":" not in path.name)
    return sorted({file.removesuffix(".d").replace("@.", "@1.") for file in found})
