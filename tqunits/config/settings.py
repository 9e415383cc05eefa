"""SETTINGS: the table of every setting of worker.yaml and tqunits.yaml.

A row has a setting's parser, its default, the directive that it sets, the version since which it
exists, and its purpose. The parser, the defaults, `tqunits docs`, the example files in config/ and
the notes "not in effect yet" all come from this table; a setting that is not in it does not exist.
The order is for readers: common settings come first.
"""

from __future__ import annotations

from tqunits.config.health_settings import HealthSettings
from tqunits.config.proxy_settings import ProxySettings
from tqunits.config.server_settings import ServerSettings
from tqunits.config.setting import Setting
from tqunits.config.signal_settings import SignalSettings
from tqunits.config.watch_settings import WatchSettings
from tqunits.config.worker_settings import WorkerSettings

GROUPS = {
    "build": "how the program is made; a command line alone, build: [make], is its command",
    "release": "what a deploy does for a new release",
    "runtime": "what the language's runtime is told",
    "php": "what PHP's own server is told, in the command that the type presets",
    "limits": "what the kernel enforces for this worker, whatever its program does",
    "health": "how the worker is asked whether it is well; a word alone, health: none, is its type",
    "restart": "what systemd does when the worker ends",
    "scaling": "how many instances run",
    "timeouts": "time spans; 0 or infinity is no limit",
    "proxy": "what the router does",
    "watch": "what is done by itself when files change",
    "depends": "what this worker needs; a list alone, depends: [api, postgresql.service], is its requires",
    "static": "files that the router serves itself",
    "workers": "where the workers are, and their ports",
    "tls": "encryption towards the clients",
    "manager": "the control plane",
}
"""Every group of settings, and its subject."""


def _rows(table: type) -> dict[str, Setting[object]]:
    return {row.key: row for row in vars(table).values() if isinstance(row, Setting)}


WORKER = {
    **_rows(WorkerSettings),
    **_rows(WatchSettings),
    **_rows(HealthSettings),
    **_rows(SignalSettings),
    **_rows(ProxySettings),
}
SERVER = _rows(ServerSettings)
SETTINGS: tuple[Setting[object], ...] = (*WORKER.values(), *SERVER.values())
"""Every setting, in the order for readers."""
