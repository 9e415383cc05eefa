"""Sets the variables of environment files and becomes the program: ExecStart= of a worker that has such files.

    /usr/bin/python3 -I -S launch.py [--environment ID=PATH]... [--keep NAME]... -- PROGRAM [ARGUMENT]...

The files come as credentials (systemd.exec(5)): $CREDENTIALS_DIRECTORY/ID is read, PATH is what messages say. It runs
in the worker's sandbox, as its user. What the files set reaches the program alone, and wins over what the unit sets,
but for the contract's variables, systemd's own, and each NAME to keep.

Exit statuses are systemd's where it has one (systemd.exec(5), "PROCESS EXIT CODES"): 203 the program can not be
executed; 78 (EX_CONFIG) an environment file is wrong; 2 the command line is.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tqunits.alone import variables
    from tqunits.alone.program import Failure, become
else:  # isolated (-I), Python looks for nothing beside the program
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs more
    import variables
    from program import Failure, become

USAGE, MISTAKE = 2, 78


def main(arguments: list[str]) -> int:
    """Execute the program; gives an exit status when that fails, and says why in one line."""
    try:
        files, keep, program = parse(arguments)
        environment = _inherited()
        for credential, shown in files:
            _add(environment, _read(environment, credential, shown), keep)
        become(program, environment)
    except Failure as failure:
        prefix = "<3>" if "JOURNAL_STREAM" in os.environ else ""
        sys.stderr.write(f"{prefix}tqunits-launch: {failure}\n")
        return failure.status
    raise AssertionError


def parse(arguments: list[str]) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """The environment files (credential, path), the names to keep, the program. Raises Failure."""
    end = arguments.index("--") if "--" in arguments[:-1] else 1
    pairs = list(zip(arguments[:end:2], arguments[1:end:2], strict=False))
    if end % 2 or any(option not in ("--environment", "--keep") for option, _ in pairs):
        raise Failure(USAGE, "usage: [--environment ID=PATH]... [--keep NAME]... -- PROGRAM [ARGUMENT]...")
    split = (value.partition("=") for option, value in pairs if option == "--environment")
    files = [(credential, path) for credential, _, path in split]
    return files, [value for option, value in pairs if option == "--keep"], arguments[end + 1 :]


def _inherited() -> dict[str, str]:
    """The environment as systemd made it. In the C locale Python adds LC_CTYPE to its own (PEP 538)."""
    environment = dict(os.environ)
    if "LC_CTYPE" in environment:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - pathlib costs more
            if b"\0LC_CTYPE=" not in b"\0" + file.read():
                del environment["LC_CTYPE"]
    return environment


def _read(environment: dict[str, str], credential: str, shown: str) -> list[tuple[str, str]]:
    """Name and value of each variable in a file. Raises Failure."""
    path = f"{environment.get('CREDENTIALS_DIRECTORY', '')}/{credential}"
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return [(name, value) for _, name, value in variables.parse(file.read(variables.MAX_BYTES + 1))]
    except OSError as error:
        raise Failure(MISTAKE, f"{shown}: can not be read: {error.strerror}") from None
    except variables.Mistake as mistake:
        raise Failure(MISTAKE, f"{shown}:{mistake.line}:{mistake.column}: {mistake.message}") from None


def _add(environment: dict[str, str], found: list[tuple[str, str]], keep: list[str]) -> None:
    has_port = "WORKER_PORT" in environment
    for name, value in found:
        if not (variables.is_reserved(name, has_port=has_port) or name in keep):
            environment[name] = value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
