"""What root lets the manager read, and nobody else: by the group of its user."""

from __future__ import annotations

import os

from tqunits.model import MANAGER_USER
from tqunits.system import users


def group() -> int | None:
    """The group; None: there is no manager on this host, or this is no root, who could give a file
    to it."""
    return users.group_of(MANAGER_USER) if os.geteuid() == 0 and users.exists(MANAGER_USER) else None
