"""What the drop-ins of a worker's instances and of its `release.command` have in common: both run a
program as the worker, in its sandbox, with its limits, from its folder or a release of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tqunits.model import Host, Instance, Worker
from tqunits.units import quote, release_mount, sandbox
from tqunits.units.limits import limit_directives


def values(
    worker: Worker, whose: Instance, argv: Sequence[str], variables: Mapping[str, str], target: Host
) -> Mapping[str, object]:
    """The values of their templates. `whose`: the instance whose release it runs. Raises
    TqunitsError for a value that no unit can express."""
    own = (str(target.alone),)
    return {
        "remarks": [quote.comment(line) for line in sandbox.remarks(worker.sandbox)],
        "source": quote.path(str(worker.source)),
        "folder": quote.folder(str(worker.folder)),
        "command": quote.command(argv),
        "user": quote.account(worker.user),
        "group": quote.account(worker.group),
        "variables": [quote.assignment(variable, value) for variable, value in variables.items()],
        "limits": limit_directives(worker.limits),
        "sandbox": (
            *release_mount.directives(worker, whose, target),
            *sandbox.directives(worker, own, systemd=target.systemd, user_mode=target.user_mode),
        ),
    }
