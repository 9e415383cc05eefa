"""Rules about the health check: which settings go with which type."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tqunits.config import variable_rules
from tqunits.config.findings import NodeProblem, warning
from tqunits.config.layers import Values
from tqunits.config.nodes import Node
from tqunits.config.setting import Setting
from tqunits.config.worker_settings import WorkerSettings as W
from tqunits.health import HealthType
from tqunits.model import Listen, OriginKind, ServiceType, Worker, WorkerType

_DETAILS: tuple[tuple[Setting[object], HealthType], ...] = (
    (W.health_path, HealthType.HTTP),
    (W.health_host, HealthType.HTTP),
    (W.health_status, HealthType.HTTP),
    (W.health_command, HealthType.COMMAND),
)


def problems(worker: Worker, values: Values, top: Node, wrong: Collection[str]) -> Iterator[NodeProblem]:
    """The problems of one worker. `top`: the place of a setting that nobody wrote. `wrong`:
    settings whose errors are already reported."""
    yield from _details(worker, values, top)
    yield from _type(worker, values, top, wrong)
    yield from variable_rules.health_command(worker, values, top)


def _details(worker: Worker, values: Values, top: Node) -> Iterator[NodeProblem]:
    """Settings of another type than the worker's. In `defaults:` they may be meant for other
    workers."""
    type_ = worker.health.type
    for setting, owner in _DETAILS:
        is_nearer = _written_in(values, setting) is OriginKind.WORKER
        if owner is type_ or not (is_nearer or _written_in(values, setting) is _written_in(values, W.health_type)):
            continue
        if values.written(setting) and values[setting] not in (None, ()):
            message = f"{setting.key} has no meaning with health.type: {type_}"
            hint = f"leave one of them out, or write type: {owner}"
            yield NodeProblem(values.node(setting) or top, message, hint)


def _type(worker: Worker, values: Values, top: Node, wrong: Collection[str]) -> Iterator[NodeProblem]:
    node = values.node(W.health_type) or top
    health = worker.health
    if health.type is HealthType.COMMAND and not health.command and W.health_command.key not in wrong:
        yield NodeProblem(node, "health.command is missing", 'such as ["bin/well", "--port", "${PORT}"]')
    if worker.type is WorkerType.STATIC or worker.service_type is ServiceType.NOTIFY:
        return
    if health.type is HealthType.TCP and worker.listen is Listen.FD:
        message = "health.type: tcp says nothing with listen: fd, for it is systemd that listens"
        yield NodeProblem(node, message, "write http, command, or none")
    if health.type is HealthType.NONE and worker.listen is not Listen.FD:
        message = "health.type: none: requests that come before it listens fail, at each start"
        yield warning(node, message, "type: tcp waits until it listens, and asks nothing else")


def _written_in(values: Values, setting: Setting[object]) -> OriginKind:
    return values.origin(setting).kind
