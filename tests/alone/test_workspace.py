"""The program that makes the workspace of a build and then executes the build, run as its unit runs
it."""

from __future__ import annotations

import os
import signal
import socket
import stat
import tempfile
from pathlib import Path

import pytest
from programs import alone

from tqunits.alone.workspace import MAX_DEPTH, MAX_NAMED
from tqunits.system import process
from tqunits.system.process import Completed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "a folder: mine"
    made.mkdir()
    return made


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    made = tmp_path / "workspace"
    made.mkdir()
    return made


def run(*arguments: str | Path) -> Completed:
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return process.run([*alone("workspace"), *map(str, arguments)], environment=environment)


def copied(folder: Path, workspace: Path, *program: str) -> Completed:
    return run("--copy", folder, workspace, "--", *(program or ("true",)))


def test_the_program_has_the_signals_that_systemd_gives_it(folder: Path, workspace: Path) -> None:
    """Python ignores SIGXFSZ, with which the kernel ends a program that makes a file larger than
    disk_max. systemd does not ignore it."""
    masks = ("/bin/sh", "-c", "grep SigIgn /proc/self/status")
    ignored = int(copied(folder, workspace, *masks).stdout.split()[1], 16)
    assert not ignored & 1 << (signal.SIGXFSZ - 1)


def test_it_leaves_a_processor_to_others(folder: Path, workspace: Path) -> None:
    here = os.sched_getaffinity(0)
    program = "import os; print(*sorted(os.sched_getaffinity(0)))"
    found = set(map(int, copied(folder, workspace, "/usr/bin/python3", "-c", program).stdout.split()))
    assert found == (here - {min(here)} if len(here) > 1 else here)


def test_the_program_runs_in_a_copy(folder: Path, workspace: Path) -> None:
    (folder / "src").mkdir()
    (folder / "src/main").write_text("text")
    (folder / "make").write_text("#!/bin/sh\ncat src/main; echo more > src/made; echo; pwd")
    (folder / "make").chmod(0o755)
    done = copied(folder, workspace, "./make")
    assert (done.returncode, done.stdout.splitlines()) == (0, ["text", str(workspace / "copy")])
    assert not (folder / "src/made").exists()
    assert (workspace / "tmp").is_dir()


def test_a_copy_has_the_modes_and_times_of_files_and_the_links(folder: Path, workspace: Path) -> None:
    (folder / "old").write_text("")
    os.utime(folder / "old", ns=(5, 1_000_000_007))
    (folder / "old").chmod(0o6751)
    (folder / "link").symlink_to("/nowhere")
    assert copied(folder, workspace).returncode == 0
    found = (workspace / "copy/old").stat()
    assert (found.st_mtime_ns, stat.S_IMODE(found.st_mode)) == (1_000_000_007, 0o751)
    assert (workspace / "copy/link").readlink() == Path("/nowhere")


def test_what_was_there_is_gone(folder: Path, workspace: Path) -> None:
    for name in ("copy/deep/old", "tmp/old"):
        (workspace / name).parent.mkdir(parents=True)
        (workspace / name).write_text("")
    assert copied(folder, workspace).returncode == 0
    assert {str(p.relative_to(workspace)) for p in workspace.rglob("*")} == {"copy", "tmp"}


def test_what_is_no_file_is_left_out_and_said(folder: Path, workspace: Path) -> None:
    os.mkfifo(folder / "pipe\n")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
        done = copied(folder, workspace)
    assert done.returncode == 0
    said = sorted(done.stderr.splitlines())
    assert said == ["tqunits-workspace: pipe\\n is left out: no file", "tqunits-workspace: socket is left out: no file"]
    assert list((workspace / "copy").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_what_may_not_be_read_is_left_out_and_said() -> None:
    with Apart() as (folder, workspace):
        for name in (".env", "fine", "keys/token"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("")
        (folder / ".env").chmod(0o600)
        (folder / "keys").chmod(0o700)
        argv = [*alone("workspace"), "--copy", str(folder), str(workspace), "--", "true"]
        done = process.run(argv, user="nobody", environment={"PATH": "/usr/bin:/bin"})
        assert (done.returncode, sorted(p.name for p in (workspace / "copy").iterdir())) == (0, ["fine"])
        assert ".env is left out: Permission denied" in done.stderr
        assert "keys is left out: Permission denied" in done.stderr


class Apart:
    """A folder that another user may read, and one that the user owns. pytest's own folders are
    only for its user."""

    def __enter__(self) -> tuple[Path, Path]:
        self._folder = tempfile.TemporaryDirectory(prefix="tqunits-test-")
        top = Path(self._folder.name)
        top.chmod(0o755)
        for name in ("folder", "workspace"):
            (top / name).mkdir()
        os.chown(top / "workspace", 65534, 65534)
        return top / "folder", top / "workspace"

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def test_only_some_of_what_is_left_out_is_named(folder: Path, workspace: Path) -> None:
    for number in range(MAX_NAMED + 5):
        os.mkfifo(folder / str(number))
    said = copied(folder, workspace).stderr.splitlines()
    assert (len(said), said[-1]) == (MAX_NAMED + 1, "tqunits-workspace: and 5 more")


def test_a_folder_without_a_bottom_is_not_copied(folder: Path, workspace: Path) -> None:
    (folder / "/".join("d" * (MAX_DEPTH + 1))).mkdir(parents=True)
    done = copied(folder, workspace)
    assert (done.returncode, f"more than {MAX_DEPTH} folders" in done.stderr) == (1, True)


@pytest.mark.parametrize(("there", "said"), [(True, "run\n"), (False, "")], ids=["there", "missing"])
def test_a_step_may_need_a_file(folder: Path, workspace: Path, there: object, said: str) -> None:
    if there:
        (folder / "go.sum").write_text("")
    done = run("--copy", folder, "--needs", "go.sum", workspace, "--", "echo", "run")
    assert (done.returncode, done.stdout) == (0, said)
    assert (workspace / "copy").is_dir()


def test_the_next_step_goes_on_in_the_copy(folder: Path, workspace: Path) -> None:
    assert copied(folder, workspace, "touch", "loaded").returncode == 0
    assert run(workspace, "--", "ls").stdout == "loaded\n"


def test_a_program_that_is_missing_is_said(folder: Path, workspace: Path) -> None:
    done = copied(folder, workspace, "./none")
    said = "tqunits-workspace: ./none can not be executed: No such file or directory\n"
    assert (done.returncode, done.stderr) == (203, said)


@pytest.mark.parametrize("arguments", [(), ("--", "true"), ("/w", "--"), ("--cp", "/f", "/w", "--", "true")])
def test_a_wrong_command_line_is_said(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.returncode, "usage:" in done.stderr) == (2, True)


def test_what_a_build_has_made_is_not_copied(folder: Path, workspace: Path, tmp_path: Path) -> None:
    for name in ("bin/run", "src/main", "src/made", "bin-too"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    (tmp_path / "list").write_bytes(b"bin\0src/made\0")
    for listed, expected in ((tmp_path / "list", ["bin-too", "src"]), (tmp_path / "none", ["bin", "bin-too", "src"])):
        done = run("--copy", folder, "--without", listed, workspace, "--", "ls")
        assert (done.returncode, done.stdout.split()) == (0, expected)
    assert sorted(p.name for p in (workspace / "copy/src").iterdir()) == ["made", "main"]


def test_the_copy_may_lie_and_be_seen_elsewhere(folder: Path, workspace: Path, tmp_path: Path) -> None:
    (folder / "file").write_text("")
    seen = tmp_path / "seen"
    seen.symlink_to(tmp_path / "copied")  # in place of a mount
    done = run("--copy", folder, "--in", tmp_path / "copied", "--at", seen, workspace, "--", "ls")
    assert (done.returncode, done.stdout) == (0, "file\n")
    assert not (workspace / "copy").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_folder_that_is_closed_to_builds_is_said() -> None:
    with Apart() as (folder, workspace):
        folder.chmod(0o700)
        argv = [*alone("workspace"), "--copy", str(folder), str(workspace), "--", "true"]
        done = process.run(argv, user="nobody", environment={"PATH": "/usr/bin:/bin"})
        assert done.returncode == 1
        assert "the worker's folder is closed to the account of its builds: chmod o+rx" in done.stderr
