"""The launcher, run as a unit runs it: it executes the worker's program."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from programs import alone

from tqunits.alone import launch
from tqunits.alone.program import NOT_EXECUTED
from tqunits.system import process
from tqunits.system.process import Completed

SHOW = ("/usr/bin/python3", "-I", "-c", "import json, os; print(json.dumps(dict(os.environ)))")
MASKS = ("/bin/sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status")


def run(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Completed:
    """Run it with only these variables in its environment, and the path of its credentials."""
    variables = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "CREDENTIALS_DIRECTORY": str(folder),
        **(environment or {}),
    }
    argv = [*alone("launch"), *arguments]
    return process.run(argv, environment=variables)


def variables(folder: Path, text: str, *options: str, environment: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of the program, with one environment file."""
    (folder / "environment-1").write_text(text)
    file = ("--environment", "environment-1=/srv/api/.env")
    done = run(folder, *file, *options, "--", *SHOW, environment=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_the_file_wins_over_the_unit(tmp_path: Path) -> None:
    found = variables(tmp_path, "A=file\nB='two words'\n", environment={"A": "unit", "C": "unit"})
    assert (found["A"], found["B"], found["C"]) == ("file", "two words", "unit")


@pytest.mark.parametrize(
    "name", ["PORT", "WORKER_PORT", "WORKER_MODE", "LISTEN_FDS", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"]
)
def test_the_contract_and_systemd_win_over_the_file(tmp_path: Path, name: str) -> None:
    before = {} if name == "CREDENTIALS_DIRECTORY" else {name: "unit"}
    found = variables(tmp_path, f"{name}=file\n", environment={"WORKER_PORT": "9000", **before})
    assert found[name] == before.get(name, str(tmp_path))


def test_the_file_sets_a_port_for_who_listens_on_none(tmp_path: Path) -> None:
    found = variables(tmp_path, "PORT=file\n", environment={"WORKER_SOCKET": "/run/x", "PORT": "unit"})
    assert found["PORT"] == "file"


def test_what_the_unit_sets_for_the_runtime_is_kept(tmp_path: Path) -> None:
    found = variables(tmp_path, "GOMEMLIMIT=1\nGOMAXPROCS=1\n", "--keep", "GOMEMLIMIT", environment={"GOMEMLIMIT": "2"})
    assert (found["GOMEMLIMIT"], found["GOMAXPROCS"]) == ("2", "1")


def test_later_files_win(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"environment-{number}").write_text(f"A={number}\n")
    files = [word for n in (1, 2) for word in ("--environment", f"environment-{n}=/{n}")]
    assert json.loads(run(tmp_path, *files, "--", *SHOW).stdout)["A"] == "2"


@pytest.mark.parametrize("language", [{"LANG": "C"}, {"LANG": "C", "LC_CTYPE": "C"}, {"LC_ALL": "C"}, {"LANG": ""}])
def test_the_launcher_leaves_no_trace_in_the_environment(tmp_path: Path, language: dict[str, str]) -> None:
    """Python adds LC_CTYPE to its own environment in the C locale. The program would do so too, so
    here it is another one."""
    done = run(tmp_path, "--", "/usr/bin/env", environment=language)
    names = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert names == {"PATH", "LANG", "CREDENTIALS_DIRECTORY", *language}


def test_the_program_has_the_signals_that_systemd_gives_it(tmp_path: Path) -> None:
    """Python ignores SIGPIPE, as systemd does for every service, and SIGXFSZ, which systemd does
    not."""
    directly, launched = (
        int(done.stdout.split()[3], 16) for done in (process.run(MASKS), run(tmp_path, "--", *MASKS))
    )  # both inherit the signals that this process ignores
    assert launched == directly | 1 << (signal.SIGPIPE - 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("A=1\nexport B=2\n", "/srv/api/.env:2:1: ", id="a mistake"),
        pytest.param("A='1\n", "/srv/api/.env:1:3: ", id="an open quote"),
        pytest.param(None, "/srv/api/.env: can not be read: No such file or directory\n", id="no file"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "environment-1").write_text(text)
    done = run(tmp_path, "--environment", "environment-1=/srv/api/.env", "--", "/bin/true")
    assert (done.returncode, done.stdout) == (launch.MISTAKE, "")
    assert done.stderr.startswith(f"tqunits-launch: {said}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("/nowhere/x", "/nowhere/x can not be executed: No such file or directory"),
        ("nowhere", "nowhere can not be executed: No such file or directory"),
        ("/etc/passwd", "/etc/passwd can not be executed: Permission denied"),
        ("/", "/ can not be executed: Permission denied"),
    ],
)
def test_a_program_that_can_not_be_executed_is_one_line(tmp_path: Path, program: str, said: str) -> None:
    done = run(tmp_path, "--", program)
    assert (done.returncode, done.stderr) == (NOT_EXECUTED, f"tqunits-launch: {said}\n")


@pytest.mark.parametrize("words", [[], ["--"], ["x"], ["--keep", "--", "x"], ["--bogus", "y", "--", "x"]])
def test_a_wrong_command_line_executes_nothing(tmp_path: Path, words: list[str]) -> None:
    done = run(tmp_path, *words)
    assert done.returncode == launch.USAGE
    assert done.stderr.startswith("tqunits-launch: usage: ")


def test_its_arguments_are_the_programs_to_the_letter(tmp_path: Path) -> None:
    words = ["--", "two words", "$HOME", "", "--keep", "ü"]
    done = run(tmp_path, "--", "/usr/bin/python3", "-I", "-c", "import sys; print(sys.argv[1:])", *words)
    assert done.stdout == f"{words}\n"
