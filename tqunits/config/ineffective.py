"""Settings that somebody has written and that have no effect in this release: `check` notes them,
`install` warns of them."""

from __future__ import annotations

from collections.abc import Collection

from tqunits.config.layers import NOT_YET
from tqunits.config.settings import SETTINGS
from tqunits.errors import Diagnostic, Severity
from tqunits.model import Configuration

_KEYS = frozenset(setting.key for setting in SETTINGS if not setting.in_effect)


def warnings(configuration: Configuration, workers: Collection[str]) -> tuple[Diagnostic, ...]:
    """The warnings for tqunits.yaml and for the worker.yaml of each of these workers; each place
    once."""
    chosen = [worker.origins for worker in configuration.workers if worker.name in workers]
    written = {
        mark: key
        for origins in (configuration.server.origins, *chosen)
        for key in _KEYS & origins.keys()
        if (mark := origins[key].mark) is not None
    }
    return tuple(
        Diagnostic(severity=Severity.WARNING, message=f"'{key}' is not in effect yet", mark=mark, hint=NOT_YET)
        for mark, key in sorted(written.items())
    )
