"""A public name for this host's routers, derived from its identifier, which stays secret."""

from __future__ import annotations

import hmac
import os
import socket
from pathlib import Path
from typing import Final

MACHINE_ID: Final = Path("/etc/machine-id")

_LENGTH: Final = 8
"""Bytes of a name. Two hosts with the same name would only count each other's passes of a
request."""


def router_name(machine_id: Path = MACHINE_ID) -> bytes:
    """The name of this host's routers, the same for all their processes: `tqunits-` and 16
    hexadecimal digits.

    As machine-id(5) demands, it is a keyed hash of the identifier and never the identifier itself.
    The host's name is part of it, because copies of one machine may have the same identifier.
    Without an identifier the name is this process' own.
    """
    try:
        secret = machine_id.read_bytes().strip()
    except OSError:
        secret = b""
    message = b"tqunits router\0" + os.fsencode(socket.gethostname())
    digest = hmac.digest(secret, message, "sha256") if len(secret) == 32 else os.urandom(_LENGTH)
    return b"tqunits-" + digest[:_LENGTH].hex().encode("ascii")
