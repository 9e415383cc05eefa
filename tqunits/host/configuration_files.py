"""Where the administrator's configuration of the host lies, and what bounds it has."""

from __future__ import annotations

from typing import Final

CONFIGURATION: Final = "tqunits.yaml"
DROP_INS: Final = "tqunits.yaml.d"

MAX_BYTES: Final = 1024 * 1024
"""A worker.yaml with every key is 4 KiB; a longer file than this is something else."""

MAX_DROP_INS: Final = 100
"""Nobody can keep an overview of more drop-ins than that."""


def is_drop_in(name: str) -> bool:
    """Whether a file in the folder of the drop-ins is one of them. An editor's own files begin with
    a dot."""
    return name.endswith(".yaml") and not name.startswith(".")
