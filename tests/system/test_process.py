"""Other programs are run without a shell, with limits of time and memory."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tqunits.errors import TimedOut, TqunitsError
from tqunits.system import process


def test_streams_and_status_are_told_apart() -> None:
    done = process.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert done == process.Completed(returncode=3, stdout="out\n", stderr="err\n")


def test_input_reaches_the_program_and_the_terminal_does_not() -> None:
    assert process.run(["cat"], input="text").stdout == "text"
    assert process.run(["cat"]).stdout == ""


def test_environment_and_folder_are_the_callers_choice(tmp_path: Path) -> None:
    done = process.run(["/usr/bin/env"], environment={"ONLY": "this"}, working_directory=tmp_path)
    assert done.stdout == "ONLY=this\n"
    assert process.run(["pwd"], working_directory=tmp_path).stdout.strip() == str(tmp_path)


def test_a_program_that_takes_too_long_is_killed() -> None:
    begin = time.monotonic()
    with pytest.raises(TimedOut, match=r"did not finish within 0\.2 s"):
        process.run(["sleep", "60"], timeout_s=0.2)
    assert time.monotonic() - begin < 10


def test_of_an_endless_output_the_end_is_kept() -> None:
    done = process.run(["sh", "-c", "head -c 40000000 /dev/zero; printf end"])
    assert len(done.stdout) == process.OUTPUT_LIMIT
    assert done.stdout.endswith("end")


def test_a_missing_program_is_a_file_not_found() -> None:
    with pytest.raises(FileNotFoundError):
        process.run(["no-such-program-of-ours"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_has_none_of_our_groups() -> None:
    assert process.run(["id", "-un"], user="nobody").stdout == "nobody\n"
    assert "0(root)" not in process.run(["id"], user="nobody").stdout


def test_an_unknown_user_is_an_error() -> None:
    with pytest.raises(TqunitsError, match="no such user"):
        process.run(["true"], user="nobody-at-all")
