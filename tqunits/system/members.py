"""Who a uid is, by the host's own database of users (nsswitch.conf(5)): its name, and its groups.

The groups are those that the database has now, as polkit asks it, and not those that a process
began with: who has left a group has left it at once. The database may be another host's, so a
question can take seconds.
"""

from __future__ import annotations

import grp
import os
import pwd
from contextlib import suppress

from tqunits.light_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """A user."""

    uid: int
    user: str
    groups: frozenset[str]


def person(uid: int) -> Person | None:
    """The user of this number; None: there is none."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return None
    groups = set()
    for gid in os.getgrouplist(entry.pw_name, entry.pw_gid):
        with suppress(KeyError):
            groups.add(grp.getgrgid(gid).gr_name)
    return Person(uid, entry.pw_name, frozenset(groups))
