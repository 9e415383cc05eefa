"""Explain the settings of worker.yaml and tqunits.yaml: what each takes, its default, what it sets.

KEY is a setting (limits.memory_max), a group (limits), or a file (worker.yaml, tqunits.yaml);
without KEY, all of them.
"""

from __future__ import annotations

import argparse

from tqunits.cli.context import Context
from tqunits.config import reference
from tqunits.config.setting import Setting
from tqunits.config.settings import SETTINGS
from tqunits.errors import ExitStatus, UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `tqunits docs`."""
    parser.add_argument("key", nargs="?", metavar="KEY", help="a setting, a group or a file")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print tables in Markdown")


def run(arguments: argparse.Namespace, context: Context) -> ExitStatus:
    """Print the reference."""
    settings = _selected(arguments.key)
    if arguments.json:
        context.output.json("docs", 1, settings=[reference.as_json(setting) for setting in settings])
    elif arguments.markdown:
        context.output.raw(reference.markdown(settings))
    else:
        context.output.raw(reference.text(settings))
    return ExitStatus.OK


def _selected(key: str | None) -> tuple[Setting[object], ...]:
    settings = SETTINGS if key is None else reference.select(key)
    if key is not None and not settings:
        raise UsageError(f"no setting {key!r}", hint=reference.nearest(key) or "see 'tqunits docs'")
    return settings
