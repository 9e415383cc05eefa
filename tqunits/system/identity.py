"""Who this host is to others, without telling them which: a name made of what is secret about
it."""

from __future__ import annotations

import hmac
import os
import socket
from pathlib import Path
from typing import Final

MACHINE_ID: Final = Path("/etc/machine-id")

_LENGTH: Final = 8
"""Bytes of a name: two hosts that share one only count each other's passes as well."""


def router_name(machine_id: Path = MACHINE_ID) -> bytes:
    """The name of this host's routers, the same for all their processes: `tqunits-` and 16
    hexadecimal digits.

    As machine-id(5) wants it, a keyed hash of the identifier and never that itself; with the host's
    name, for copies of one machine may have the same. Without an identifier it is this process'
    alone.
    """
    try:
        secret = machine_id.read_bytes().strip()
    except OSError:
        secret = b""
    message = b"tqunits router\0" + os.fsencode(socket.gethostname())
    digest = hmac.digest(secret, message, "sha256") if len(secret) == 32 else os.urandom(_LENGTH)
    return b"tqunits-" + digest[:_LENGTH].hex().encode("ascii")
