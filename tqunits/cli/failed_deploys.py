"""Whether the last deploy of a worker has failed, for `why`: then it runs an older program than
somebody wanted, however well it is. A restart does not change that; one that has failed is told as
well.

Only the manager knows, and `why` has other things to say: an answer that does not come at once is
not waited for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from tqunits.cli import format as human
from tqunits.cli.context import Context
from tqunits.control import deploying
from tqunits.errors import TqunitsError
from tqunits.lifecycle.deploy_rules import KEPT_RESTARTS, last_failure
from tqunits.lifecycle.deploys import DeployRecord

PATIENCE_S: Final = 1.0
"""The manager answers within milliseconds."""


def failed_deploys(workers: Collection[str], context: Context) -> Mapping[str, DeployRecord]:
    """Worker -> its last deploy, where that has failed. Empty where no manager answers, or tells
    this user."""
    if context.user_mode:  # without deploys
        return {}
    found: dict[str, DeployRecord] = {}
    try:
        for worker in workers:
            last = deploying.history(context.layout, worker, 1 + KEPT_RESTARTS, patience=PATIENCE_S)
            failure = last_failure(last)
            if failure is not None:
                found[worker] = failure
    except TqunitsError:  # the next question would fare no better
        pass
    return found


def sentence(record: DeployRecord) -> str:
    """That it has failed: when, why, and where more of it is."""
    when = human.moment(record.ended_us or record.asked_us)
    what = f"the last {record.kind} (number {record.number}) failed at {when}"
    return f"{what}: {record.why}; 'tqunits history {record.worker}' shows all"
