"""Finding the error in the output of programs: of runtimes that are installed, by running them
here, and of others, as recorded.

The output recorded of Java 17, Go 1.19, Rust 1.95, Node 20.20 and Python 3.11 is from Debian 12.
The output for PHP 8.2 and Ruby 3.1 was not recorded, but written in the forms that their own tests
have (php-src, Zend/tests/*.phpt; test/ruby/test_syntax.rb, test_require.rb).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tqunits.lifecycle.error_lines import Complaint, complaint
from tqunits.lifecycle.kinds import ErrorKind
from tqunits.system import process

RECORDED = (Path(__file__).parent / "recorded.txt").read_text(encoding="utf-8").split("=== ")[1:]
"""Blocks of `NAME | KIND | PART OF THE LINE | END OF THE PLACE`, and the output."""


@pytest.mark.parametrize("block", RECORDED, ids=lambda block: block.partition(" |")[0])
def test_an_error_is_found_with_its_kind_and_its_place(block: str) -> None:
    first, *said = block.rstrip().split("\n")
    _, kind, words, place = (field.strip() for field in first.split("|"))
    found = complaint(said)
    assert found is not None
    assert (found.kind.value, words in found.text) == (kind, True), found
    assert found.place.endswith(place), found


@pytest.mark.parametrize("said", ["", "listening on 127.0.0.1:9000\n", "GET /health 200\nbye\n"])
def test_who_complains_of_nothing_has_no_error(said: str) -> None:
    assert complaint(said.splitlines()) is None


def test_in_a_crash_of_what_has_run_for_long_the_last_counts() -> None:
    one = 'Traceback (most recent call last):\n  File "/a.py", line 1, in f\n    x\nValueError: one\n'
    said = (one + one.replace("one", "two")).splitlines()
    first, last = complaint(said), complaint(said, last=True)
    assert first is not None
    assert last is not None
    assert (first.text, last.text) == ("ValueError: one", "ValueError: two")


def test_a_path_that_is_not_absolute_is_that_of_the_programs_folder() -> None:
    found = complaint(["OSError: [Errno 30] Read-only file system: 'src/cache'"], folder="/srv/x")
    assert found is not None
    assert found.path == "/srv/x/src/cache"


PROGRAMS: dict[str, tuple[list[str], str, ErrorKind, str]] = {
    # the interpreter, the program, the kind, the end of the place
    "python, syntax": (["/usr/bin/python3"], "def f(:\n  pass\n", ErrorKind.SYNTAX, "/main:1"),
    "python, tabs": (["/usr/bin/python3"], "def f():\n\treturn 1\n        return 2\n", ErrorKind.SYNTAX, "/main:3"),
    "python, module": (["/usr/bin/python3"], "import nosuch.thing\n", ErrorKind.MODULE, "/main:1"),
    "python, variable": (["/usr/bin/python3"], "import os\nos.environ['SOME_URL']\n", ErrorKind.ENVIRONMENT, "/main:2"),
    "python, key": (["/usr/bin/python3"], "{}['SOME_URL']\n", ErrorKind.OTHER, "/main:1"),
    "python, file": (["/usr/bin/python3"], "open('/nope/x')\n", ErrorKind.NO_FILE, "/main:1"),
    "python, memory": (["/usr/bin/python3"], "'a' * (1 << 60)\n", ErrorKind.MEMORY, "/main:1"),
    "python, address": (
        ["/usr/bin/python3"],
        "import socket\na = socket.create_server(('127.0.0.1', 0))\nsocket.create_server(a.getsockname())\n",
        ErrorKind.PORT_TAKEN,
        "/main:3",
    ),
    "node, syntax": (["/usr/bin/node"], "const x = ;\n", ErrorKind.SYNTAX, "/main:1"),
    "node, module": (["/usr/bin/node"], "\nrequire('nosuch')\n", ErrorKind.MODULE, "/main:2"),
    "node, file": (["/usr/bin/node"], "require('fs').readFileSync('/nope/x')\n", ErrorKind.NO_FILE, "/main:1"),
    "node, thrown": (["/usr/bin/node"], "\nthrow new Error('the moon is full')\n", ErrorKind.OTHER, "/main:2"),
    "bash, program": (["/bin/bash"], "nosuchprogram --x\n", ErrorKind.NO_PROGRAM, "/main:1"),
    "bash, syntax": (["/bin/bash"], "if true; then\n", ErrorKind.SYNTAX, "/main:2"),
    "bash, variable": (["/bin/bash"], "set -u; echo $NOPE\n", ErrorKind.ENVIRONMENT, "/main:1"),
    "bash, file": (["/bin/bash"], ". /nope/env\n", ErrorKind.NO_FILE, "/main:1"),
    "dash, program": (["/bin/dash"], "exec nosuchprogram\n", ErrorKind.NO_PROGRAM, "/main:1"),
    "dash, syntax": (["/bin/dash"], "if true; then\n", ErrorKind.SYNTAX, "/main:2"),
    "dash, variable": (["/bin/dash"], "set -u; echo $NOPE\n", ErrorKind.ENVIRONMENT, "/main:1"),
    "dash, file": (["/bin/dash"], ". /nope/env\n", ErrorKind.NO_FILE, "/main:1"),
    "perl, module": (["/usr/bin/perl"], "use Foo::Bar;\n", ErrorKind.MODULE, "/main:1"),
    "perl, syntax": (["/usr/bin/perl"], "my $x = ;\n", ErrorKind.SYNTAX, "/main:1"),
    "perl, file": (["/usr/bin/perl"], "open(F, '<', '/nope') or die \"settings: $!\";\n", ErrorKind.NO_FILE, "/main:1"),
}


@pytest.mark.parametrize(("interpreter", "program", "kind", "place"), PROGRAMS.values(), ids=PROGRAMS)
def test_what_a_runtime_says_here_is_understood(
    tmp_path: Path, interpreter: list[str], program: str, kind: ErrorKind, place: str
) -> None:
    found = run(tmp_path, interpreter, program)
    assert found is not None
    assert (found.kind, found.place.endswith(place)) == (kind, True), found


def run(folder: Path, interpreter: list[str], program: str) -> Complaint | None:
    """Run a program that fails; gives the error that is found in its output."""
    path = folder / "main"
    path.write_text(program, encoding="utf-8")
    done = process.run([*interpreter, str(path)], timeout_s=60)
    assert done.returncode != 0
    return complaint((done.stdout + done.stderr).splitlines(), folder=str(folder))
