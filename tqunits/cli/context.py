"""The global options, which every verb gets: the root folder, the service manager, the output.

`-C DIR` makes DIR the root: `DIR/config/tqunits.yaml` and `DIR/workers`. Without it the host's own
configuration under /etc/tqunits holds, and with `--user` the user's own, under ~/.config/tqunits,
with ~/.local/share/tqunits/workers. Root may install only from files that nobody else can change.
So with -C everything that is read has to be root's, unless `--trust` is given. `--user` uses the
caller's own service manager and writes only below the caller's home.
"""

from __future__ import annotations

import os
from pathlib import Path

from tqunits.cli.output import Output
from tqunits.errors import NotPermitted
from tqunits.host.premises import Premises, layout_of
from tqunits.layout import Layout
from tqunits.light_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The global options of one invocation, resolved."""

    root: Path | None  # -C DIR, absolute
    user_mode: bool
    output: Output
    trust: bool = False  # --trust: what is in DIR counts as root's, whoever may change it

    @property
    def layout(self) -> Layout:
        """The folders for the service manager of this invocation."""
        return layout_of(user_mode=self.user_mode)

    @property
    def premises(self) -> Premises:
        """The same for host/, which has no terminal."""
        return Premises(root=self.root, layout=self.layout, user_mode=self.user_mode, trust=self.trust)

    def require_root(self, what: str) -> None:
        """Refuse early, in a whole sentence, what the kernel would refuse halfway.

        Raises NotPermitted.
        """
        if not self.user_mode and os.geteuid() != 0:
            raise NotPermitted(f"{what} needs root", hint="run it with sudo, or with --user for your own manager")
