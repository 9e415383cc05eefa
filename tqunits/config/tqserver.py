"""TQServer's names of settings: our name for each, or why it has no meaning any more.

Workers that were written for TQServer run unchanged. Each translation is reported as a NOTE, so
that the files can be updated one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tqunits.config.nodes import ListNode, Node, ScalarNode
from tqunits.light_dataclass import dataclass

JOURNAL = "the journal takes the worker's output and rotates it: 'tqunits logs NAME'"
FPM = "php runs its built-in server here, without php-fpm"


def _same(node: Node) -> Node:
    return node


@dataclass(frozen=True, slots=True)
class Spelling:
    """One key of TQServer. `to` is our key; None when there is none: then `why` says what replaces
    it."""

    to: str | None
    convert: Callable[[Node], Node] = _same
    why: str = ""


def _suffixed(suffix: str) -> Callable[[Node], Node]:
    """Appends a unit to a number."""

    def convert(node: Node) -> Node:
        if isinstance(node, ScalarNode) and node.text.isdecimal():
            return _scalar(node, node.text + suffix)
        return node

    return convert


def _bun_run(node: Node) -> Node:
    """`bun.entrypoint: index.ts` -> [bun, run, index.ts]."""
    words = (_scalar(node, "bun"), _scalar(node, "run"), node)
    return ListNode(node.document, node.line, node.column, words)


def _cpus(node: Node) -> Node:
    """A number of CPUs -> a percentage of one CPU."""
    return _suffixed("00%")(node)


def _listen(parts: Mapping[str, Node]) -> Node:
    """`server.host` and `server.port` -> one address with its port; without a host all
    addresses."""
    host, port = parts.get("server.host"), parts.get("server.port")
    node = next(iter(parts.values()))
    number = _text(port, "8080")
    address = _text(host, "")
    addresses = [address] if address else ["0.0.0.0", "[::]"]  # noqa: S104 - what TQServer listens on
    places = tuple(_scalar(host if host and address else node, f"{a}:{number}") for a in addresses)
    return ListNode(node.document, node.line, node.column, places)


def _port_range(parts: Mapping[str, Node]) -> Node:
    """`workers.port_range_start` and `_end` -> FIRST-LAST."""
    node = next(iter(parts.values()))
    first = _text(parts.get("workers.port_range_start"), "9000")
    last = _text(parts.get("workers.port_range_end"), "9999")
    return _scalar(node, f"{first}-{last}")


JOINED: Mapping[str, Callable[[Mapping[str, Node]], Node]] = {
    "listen": _listen,
    "workers.port_range": _port_range,
}
"""Settings of ours that are two settings in TQServer."""

WORKER_SPELLINGS: Mapping[str, Spelling] = {
    "name": Spelling(None, why="a worker is named as its folder"),
    "log_file": Spelling(None, why=JOURNAL),
    "logging": Spelling(None, why=JOURNAL),
    "secrets": Spelling(None, why="use 'credentials'"),
    "restart_policy": Spelling("restart.policy"),
    "restart_policy.policy": Spelling("restart.policy"),
    "restart_policy.delay": Spelling("restart.delay"),
    "restart_policy.max_restarts": Spelling("restart.max_restarts"),
    "restart_policy.max_retries": Spelling("restart.max_restarts"),
    "restart_delay": Spelling("restart.delay"),
    "go.go_mem_limit": Spelling("runtime.go_mem_limit"),
    "go.go_max_procs": Spelling("runtime.go_max_procs"),
    "go.max_requests": Spelling("runtime.max_requests"),
    "go.read_timeout_seconds": Spelling("timeouts.read"),
    "go.write_timeout_seconds": Spelling("timeouts.write"),
    "go.idle_timeout_seconds": Spelling("timeouts.idle"),
    "timeouts.read_timeout_seconds": Spelling("timeouts.read"),
    "timeouts.write_timeout_seconds": Spelling("timeouts.write"),
    "timeouts.idle_timeout_seconds": Spelling("timeouts.idle"),
    "timeouts.request_timeout_seconds": Spelling("timeouts.request"),
    "bun.entrypoint": Spelling("command", _bun_run),
    "bun.env": Spelling("environment"),
    "php.env": Spelling("environment"),
    "php.binary": Spelling(None, why="write the 'command'"),
    "php.config_file": Spelling(None, why="write the 'command', with -c FILE"),
    "document_root": Spelling("php.document_root"),
    "php.script_name": Spelling(None, why=FPM),
    "php.port": Spelling("port"),
    "php.worker_base_port": Spelling(None, why="ports come from workers.port_range"),
    "php.pool.min_workers": Spelling("scaling.min_workers"),
    "php.pool.max_workers": Spelling("scaling.max_workers"),
    "php.pool.max_requests": Spelling("runtime.max_requests"),
    "php.pool.request_timeout": Spelling("timeouts.request"),
    "php.pool.manager": Spelling(None, why=FPM),
    "php.pool.mode": Spelling(None, why=FPM),
    "php.pool.start_workers": Spelling(None, why=FPM),
    "php.pool.idle_timeout": Spelling(None, why=FPM),
    "php.pool.listen_address": Spelling(None, why=FPM),
    "scaling.queue_threshold": Spelling("scaling.target_inflight"),
    "resources.max_memory": Spelling("limits.memory_max"),
    "resources.max_cpu": Spelling("limits.cpu_quota", _cpus),
    "resources.max_open_files": Spelling("limits.limit_nofile"),
    "resources.max_processes": Spelling("limits.tasks_max"),
    "resources.max_iops": Spelling(None, why="use 'unit', Service, IOReadIOPSMax"),
    "health_check.path": Spelling("health.path"),
    "health_check.interval": Spelling("health.interval"),
    "health_check.timeout": Spelling("health.timeout"),
    "health_check.retries": Spelling("health.failure_threshold"),
    "health_check.enabled": Spelling("health.type"),
}
"""Of worker.yaml."""

SERVER_SPELLINGS: Mapping[str, Spelling] = {
    "server.host": Spelling("listen"),
    "server.port": Spelling("listen"),
    "server.read_timeout_seconds": Spelling("defaults.timeouts.read"),
    "server.write_timeout_seconds": Spelling("defaults.timeouts.write"),
    "server.idle_timeout_seconds": Spelling("timeouts.idle"),
    "server.log_file": Spelling(None, why=JOURNAL),
    "workers.port_range_start": Spelling("workers.port_range"),
    "workers.port_range_end": Spelling("workers.port_range"),
    "workers.startup_delay_ms": Spelling(None, why="the health check tells when a worker is ready"),
    "workers.restart_delay_ms": Spelling("defaults.restart.delay", _suffixed("ms")),
    "workers.shutdown_grace_period_ms": Spelling("defaults.timeouts.stop", _suffixed("ms")),
    "file_watcher.debounce_ms": Spelling("defaults.watch.debounce", _suffixed("ms")),
    "logging": Spelling(None, why=JOURNAL),
    "metrics": Spelling(None, why="there are no metrics yet"),
    "socks5": Spelling(None, why="a worker's way out is its sandbox's business"),
}
"""Of tqunits.yaml (TQServer's server.yaml)."""


def _scalar(node: Node, text: str) -> ScalarNode:
    """A text of ours in the author's place in the file."""
    return ScalarNode(node.document, node.line, node.column, text, False)


def _text(node: Node | None, default: str) -> str:
    return node.text if isinstance(node, ScalarNode) and not node.is_null else default
