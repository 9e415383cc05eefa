"""The limits of inotify, reached for real: a user namespace has its own."""

from __future__ import annotations

import errno

import pytest
from namespaces import USER, run_in_namespaces

from tqunits.system.watch_limits import MOST_OF_ONE, beyond_share, limit_of

FAIL = """
import os, resource
from tqunits.system.inotify_queue import CHANGES, InotifyQueue
from tqunits.system.watch_limits import MOST_OF_ONE, beyond_share, limit_of
first = InotifyQueue()
{before}
try:
    InotifyQueue().watch("/", CHANGES)
except OSError as error:
    limit = limit_of(error)
    print(limit.message, limit.hint, sep="\\n") if limit else print(error.strerror)
"""


def said(limit: str, before: str = "") -> str:
    return run_in_namespaces(USER, limit or "true", FAIL.format(before=before))


@pytest.mark.parametrize(
    ("name", "what", "value", "enough"),
    [
        ("watches", "watch", 0, 524288),
        ("instances", "instance", 1, 1024),
    ],
)
def test_the_limit_is_named_with_what_to_set(name: str, what: str, value: int, enough: int) -> None:
    key = f"user.max_inotify_{name}"
    message, hint = said(f"echo {value} > /proc/sys/user/max_inotify_{name}").splitlines()
    assert message == f"this user has no inotify {what} left: {key} is {value}"
    assert f"'sysctl -w {key}={enough}'" in hint


def test_the_proposal_is_more_than_what_there_is() -> None:
    with open("/proc/sys/fs/inotify/max_user_watches") as file:
        present = int(file.read())
    limit = limit_of(OSError(errno.ENOSPC, "No space left on device"))
    assert limit is not None
    assert limit.message.endswith(f".max_user_watches is {present}")
    assert limit.hint is not None
    assert f"fs.inotify.max_user_watches={max(524288, 2 * present)}" in limit.hint


def test_too_many_open_files_of_the_process_are_another_limit() -> None:
    """The errno is the same."""
    before = """
few = len(os.listdir("/proc/self/fd")) - 1
resource.setrlimit(resource.RLIMIT_NOFILE, (few, few))
"""
    assert said("", before) == "Too many open files\n"


def test_another_error_is_no_limit() -> None:
    assert limit_of(OSError(errno.EACCES, "Permission denied")) is None


@pytest.mark.parametrize(
    ("limit", "share"),
    [pytest.param(4000, 1000, id="a small host"), pytest.param(1 << 20, MOST_OF_ONE, id="a large host")],
)
def test_one_owner_gets_a_quarter_of_the_watches_at_most(limit: int, share: int) -> None:
    code = "from tqunits.system import watch_limits; print(watch_limits.fair_share())"
    told = run_in_namespaces(USER, f"echo {limit} > /proc/sys/user/max_inotify_watches", code)
    assert int(told) == share
    assert ("raise fs.inotify.max_user_watches" in (beyond_share(share).hint or "")) == (share < MOST_OF_ONE)
