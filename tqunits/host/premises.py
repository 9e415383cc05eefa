"""Which installation an operation is about: the folder of the configuration, and the folders of the
service manager.

The caller tells it to every operation of host/, because only the command line, or the command line
in a unit, knows it.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from tqunits.layout import SYSTEM_LAYOUT, Layout
from tqunits.light_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """`root`: DIR of `-C DIR`, absolute; None: the configuration lies where the layout has it."""

    root: Path | None
    layout: Layout
    user_mode: bool  # the caller's own service manager
    trust: bool = False  # what lies in `root` counts as root's, whoever may change it


def layout_of(*, user_mode: bool) -> Layout:
    """The folders of the host's service manager, or of the caller's own."""
    return user_layout() if user_mode else SYSTEM_LAYOUT


def user_layout() -> Layout:
    """The folders of `systemctl --user` for the calling user (systemd.unit(5),
    file-hierarchy(7))."""
    home = Path.home()
    return Layout(
        units=_folder("XDG_CONFIG_HOME", home / ".config") / "systemd/user",
        sysusers=None,
        configuration=_folder("XDG_CONFIG_HOME", home / ".config") / "tqunits",
        state=_folder("XDG_STATE_HOME", home / ".local/state") / "tqunits",
        runtime=_folder("XDG_RUNTIME_DIR", Path(f"/run/user/{os.getuid()}")) / "tqunits",
        workers=_folder("XDG_DATA_HOME", home / ".local/share") / "tqunits/workers",
        cache=_folder("XDG_CACHE_HOME", home / ".cache") / "tqunits",
    )


def _folder(variable: str, default: Path) -> PurePosixPath:
    """An XDG folder. The XDG specification has relative values ignored."""
    value = os.environ.get(variable, "")
    return PurePosixPath(value if value.startswith("/") else str(default))
