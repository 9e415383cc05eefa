"""Print a completion script for your shell.

The packages install it already. Elsewhere (zsh wants ~/.zfunc in its $fpath):

    $ tqunits completion bash > ~/.local/share/bash-completion/completions/tqunits
    $ tqunits completion zsh > ~/.zfunc/_tqunits
    $ tqunits completion fish > ~/.config/fish/completions/tqunits.fish

Verbs and options are written into the script; names of workers come from the units installed on the
host (or, after -C DIR, from DIR/workers) by the shell itself, so that a TAB never waits for an
interpreter.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.errors import ExitStatus
from tqunits.system import files

FILES = {"bash": "tqunits.bash", "zsh": "_tqunits", "fish": "tqunits.fish"}
"""The scripts, under the names that the shells look for; packaging/shells.py has written them."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits completion`."""
    parser.add_argument("shell", choices=tuple(FILES), help="the shell that is to read it")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Print the script."""
    context.output.raw(files.read_completion(FILES[arguments.shell]))
    return ExitStatus.OK
