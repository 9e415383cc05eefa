"""What every verb is told before its own arguments: which root, which manager, where to write.

`-C DIR` makes DIR the root: `DIR/config/tqunits.yaml` and `DIR/workers`. Without it the host's own configuration under
/etc/tqunits holds, and with `--user` the user's own, under ~/.config/tqunits, with ~/.local/share/tqunits/workers. What
root installs is an order of root's, so with -C all that is read has to be root's, or `--trust` says that it is meant.
`--user` speaks to the caller's own service manager and writes only below the caller's home.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqunits.cli.output import Output
from tqunits.errors import NotPermitted
from tqunits.model import SYSTEM_LAYOUT, Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The global options of one invocation, resolved."""

    root: Path | None  # -C DIR, absolute
    user_mode: bool
    output: Output
    trust: bool = False  # --trust: what is in DIR counts as root's, whoever may change it

    @property
    def layout(self) -> Layout:
        """The folders of the manager that this invocation speaks to."""
        return user_layout() if self.user_mode else SYSTEM_LAYOUT

    def require_root(self, what: str) -> None:
        """Refuse early, with a whole sentence, what the kernel would refuse halfway.

        Raises NotPermitted.
        """
        if not self.user_mode and os.geteuid() != 0:
            raise NotPermitted(f"{what} needs root", hint="run it with sudo, or with --user for your own manager")


def user_layout() -> Layout:
    """The folders of `systemctl --user` (systemd.unit(5), file-hierarchy(7)) for the calling user."""
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
    """An XDG folder: the specification says that a relative value is to be ignored."""
    value = os.environ.get(variable, "")
    return PurePosixPath(value if value.startswith("/") else str(default))
