"""Sets the variables of environment files and then executes the program: ExecStart= of a worker
that has such files, that has `restart.max_restarts`, or whose program has a path that systemd does
not accept.

    /usr/bin/python3 -I -S launch.py [--environment ID=PATH]... [--keep NAME]...
        [--unless FILE] -- PROGRAM [WORD]...

The files come as credentials (systemd.exec(5)): $CREDENTIALS_DIRECTORY/ID is read, and messages
name PATH. The launcher runs in the worker's sandbox, as its user. The variables of the files reach
the program only, and override those of the unit, except the contract's variables, systemd's own,
and each NAME to keep.

A worker with `restart.max_restarts` is not started when FILE has just been made (alone/backoff.py):
the exit status is 199, after which systemd does not start it again (RestartPreventExitStatus=).
Programs seldom exit with 199: a shell's statuses for signals end at 128 + 64, systemd's own begin
at 200, and a program that exits with a signal's negative number (Python's sys.exit(child.wait()))
gives 256 minus that number.

Exit statuses are systemd's where it has one (systemd.exec(5), "PROCESS EXIT CODES"): 203 the
program can not be executed; 78 (EX_CONFIG) an environment file is wrong; 2 the command line is.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tqunits.alone import variables
    from tqunits.alone.program import NotExecuted, become
else:  # with -I (isolated), Python does not look for modules beside the program
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs more
    import variables
    from program import NotExecuted, become

USAGE, MISTAKE, GIVEN_UP = 2, 78, 199

FRESH = 10.0
"""How many seconds FILE counts. It is made just before the start, and must not keep a worker down
that is started later."""


def main(arguments: list[str]) -> int:
    """Execute the program. Returns an exit status when that fails, and prints the reason in one
    line."""
    try:
        files, keep, unless, program = parse(arguments)
        _look(unless)
        environment = _inherited()
        for credential, shown in files:
            _add(environment, _read(environment, credential, shown), keep)
        become(program, environment)
    except NotExecuted as failure:
        prefix = "<3>" if "JOURNAL_STREAM" in os.environ else ""
        sys.stderr.write(f"{prefix}tqunits-launch: {failure}\n")
        return failure.status
    raise AssertionError


def parse(arguments: list[str]) -> tuple[list[tuple[str, str]], list[str], str, list[str]]:
    """The environment files (credential, path), the names to keep, the file to look at, the
    program.

    Raises NotExecuted.
    """
    end = arguments.index("--") if "--" in arguments[:-1] else 1
    pairs = list(zip(arguments[:end:2], arguments[1:end:2], strict=False))
    if end % 2 or any(option not in ("--environment", "--keep", "--unless") for option, _ in pairs):
        options = "[--environment ID=PATH]... [--keep NAME]... [--unless FILE]"
        raise NotExecuted(USAGE, f"usage: {options} -- PROGRAM [ARGUMENT]...")
    split = (value.partition("=") for option, value in pairs if option == "--environment")
    files = [(credential, path) for credential, _, path in split]
    unless = next((value for option, value in pairs if option == "--unless"), "")
    return files, [value for option, value in pairs if option == "--keep"], unless, arguments[end + 1 :]


def _look(unless: str) -> None:
    """Raises NotExecuted when the worker has failed too often. If the file can not be read, the
    worker is started."""
    try:
        age = time.time() - os.stat(unless).st_mtime  # noqa: PTH116 - pathlib costs more
        with open(unless, encoding="ascii", errors="replace") as file:  # noqa: PTH123 - as above
            times = file.read(20).strip()
    except OSError:
        return
    if 0 <= age < FRESH:
        message = f"started again {times} times in a row, which is restart.max_restarts; it is not started any more"
        raise NotExecuted(GIVEN_UP, message)


def _inherited() -> dict[str, str]:
    """The environment as systemd has made it. In the C locale Python adds LC_CTYPE to its own (PEP
    538)."""
    environment = dict(os.environ)
    if "LC_CTYPE" in environment:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - pathlib costs more
            if b"\0LC_CTYPE=" not in b"\0" + file.read():
                del environment["LC_CTYPE"]
    return environment


def _read(environment: dict[str, str], credential: str, shown: str) -> list[tuple[str, str]]:
    """Name and value of each variable in a file. Raises NotExecuted."""
    path = f"{environment.get('CREDENTIALS_DIRECTORY', '')}/{credential}"
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return [(name, value) for _, name, value in variables.parse(file.read(variables.MAX_BYTES + 1))]
    except OSError as error:
        raise NotExecuted(MISTAKE, f"{shown}: can not be read: {error.strerror}") from None
    except variables.Mistake as mistake:
        raise NotExecuted(MISTAKE, f"{shown}:{mistake.line}:{mistake.column}: {mistake.message}") from None


def _add(environment: dict[str, str], found: list[tuple[str, str]], keep: list[str]) -> None:
    has_port = "WORKER_PORT" in environment
    for name, value in found:
        if not (variables.is_reserved(name, has_port=has_port) or name in keep):
            environment[name] = value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
