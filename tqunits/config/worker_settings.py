"""The rows of SETTINGS for worker.yaml (settings.py explains a row)."""

from __future__ import annotations

from typing import TypeVar

from tqunits.config import parsers, php, unit_names, values, words
from tqunits.config.directives import reference
from tqunits.config.health_settings import HealthSettings
from tqunits.config.parsers import choice, listing, number, optional, pairs, scalar
from tqunits.config.passthrough import directives
from tqunits.config.proxy_settings import ProxySettings
from tqunits.config.setting import Setting
from tqunits.config.signal_settings import SignalSettings
from tqunits.config.watch_settings import WatchSettings
from tqunits.model import Listen, RestartPolicy, ServiceType, WorkerType
from tqunits.resources import LIMITS

T = TypeVar("T")

_SIZE, _SPAN, _BOOLEAN = "size", "time span", "true | false"
_NO_LIMIT_SPAN = scalar(values.span)
_POSITIVE_SPAN = scalar(parsers.positive_span)
_TRUTH = scalar(values.boolean)


def _limit(name: str, parse: parsers.Parser[T], default: str, takes: str, doc: str) -> Setting[T]:
    """A row that fills the field of resources.Limits with that name, and so becomes its
    directive."""
    return Setting(f"limits.{name}", parse, default, takes, doc, feeds=f"{LIMITS[name].name}=")


class WorkerSettings(ProxySettings, SignalSettings, HealthSettings, WatchSettings):
    """The settings of worker.yaml."""

    path = Setting(
        "path",
        listing(words.route, least=1),
        None,
        "route | list of routes",
        "The route prefix, matched on segment borders: /api takes /api and /api/users, never /apix. The only "
        "setting without a default.",
        fills="routes",
        feeds="WORKER_ROUTE",
        for_all=False,
    )
    host = Setting(
        "host",
        listing(words.host),
        "null",
        "name | list of names | null",
        "Only requests for these hosts; null: for any.",
        fills="hosts",
        for_all=False,
    )
    strip_prefix = Setting(
        "strip_prefix",
        _TRUTH,
        "true",
        _BOOLEAN,
        "The worker sees the path without the route; the route comes as X-Forwarded-Prefix.",
    )
    type = Setting(
        "type",
        choice(WorkerType),
        "exec",
        " | ".join(WorkerType),
        "The runtime: presets for build, command and sandbox, and its usual variables (environment). exec presets "
        "nothing but what the program of the command says: write the command.",
        feeds="WORKER_TYPE",
    )
    service_type = Setting(
        "service_type",
        choice(ServiceType),
        "exec",
        " | ".join(ServiceType),
        "How systemd learns that the worker has started: exec asks the health check, notify waits for the "
        "program's own READY=1 (sd_notify).",
        feeds="Type=",
    )
    enabled = Setting(
        "enabled",
        scalar(parsers.enabled),
        "true",
        "true | false | development | production",
        "Whether it runs: always, never, or in that mode only.",
        feeds="systemctl enable",
    )
    command = Setting(
        "command",
        parsers.command,
        "[]",
        "command line",
        "The program, run in the worker's folder without a shell. A list of words, or one text that is split as a"
        " shell would. Default: from the type. What else a shell does, it does for "
        '["sh", "-c", "npm run migrate && exec node server.js"]. Put in are ${WORKER_PORT} and ${PORT}, or '
        "${WORKER_SOCKET}; ${WORKER_NAME}, ${WORKER_ROUTE}, ${WORKER_PATH}, ${WORKER_MODE}, ${WORKER_TYPE}; "
        "${STATE_DIRECTORY}, ${CACHE_DIRECTORY}, ${RUNTIME_DIRECTORY}; and with credentials "
        "${CREDENTIALS_DIRECTORY}. A script for a shell has them as its variables. $${NAME} and $$NAME say the "
        "characters themselves. A command of php is told, behind its name, to keep sessions in $STATE_DIRECTORY "
        "(unless it names a php.ini with -c), and not to compile (pcre.jit) where the sandbox does not let it.",
        feeds="ExecStart=",
    )
    user = Setting(
        "user",
        scalar(words.user),
        "worker-{name}",
        "user name",
        "The Unix user that it runs as. Default: worker-NAME, which install makes. Another one has to be there, and "
        "only a worker of root's gets it: its worker.yaml and all folders above belong to root, and nobody else may "
        "write there. Never root, tq-*, tqunits, or another worker's.",
        feeds="User=",
        for_all=False,
    )
    group = Setting(
        "group",
        scalar(words.group),
        "worker-{name}",
        "group name",
        "Its Unix group. Default: named as the user. Another one than worker-NAME has to be there, and only a worker "
        "of root's gets it, as with the user; none does with `listen: unix`, for the router joins worker-NAME alone.",
        feeds="Group=",
        for_all=False,
    )
    environment = Setting(
        "environment",
        pairs(words.variable, words.value),
        "{}",
        "mapping of names to values",
        "Environment variables, besides those of the worker contract. Values are taken as written: no is 'no'; they "
        "may have several lines. The placeholders of command are put in, as in http://127.0.0.1:${WORKER_PORT}; "
        "$${NAME} says the characters themselves. The worker's build has them too, but for those with placeholders. "
        "Of its runtime, by type or by the program of the command, a worker has besides, unless it is written here or "
        "in an environment file: python PYTHONUNBUFFERED=1; node, bun and deno NODE_ENV, ruby RACK_ENV and RAILS_ENV, "
        "each development or production, as mode in tqunits.yaml; deno DENO_DIR, its cache folder. "
        "Not for secrets: every process of the host may ask systemd for them.",
        feeds="Environment=",
        merges=1,
    )
    environment_file = Setting(
        "environment_file",
        listing(words.path),
        "[]",
        "path | list of paths",
        "Files with NAME=value lines, whose variables win over those of environment; the worker contract's win over "
        "both. Mode 0600 keeps them to their owner. A relative path is in the worker's folder. Unless nobody but root "
        "can change what its path leads to, a file is copied by install, and an edit takes effect with the next one. "
        "A worker that is not root's may name files below its own folder only. "
        "Values are as in EnvironmentFile= of systemd.exec(5): plain, or in ' or in \"; nothing is expanded. A "
        "comment has a line of its own; export, and blanks around =, are mistakes.",
        feeds="LoadCredential=",
    )
    credentials = Setting(
        "credentials",
        pairs(words.credential, words.path),
        "{}",
        "mapping of names to paths",
        "Secrets: the worker reads them as $CREDENTIALS_DIRECTORY/NAME, nobody else does. Copied by install as "
        "environment_file is.",
        feeds="LoadCredential=",
        merges=1,
    )
    listen = Setting(
        "listen",
        choice(Listen),
        "tcp",
        " | ".join(Listen),
        "How it takes connections: tcp on 127.0.0.1:$WORKER_PORT, unix on $WORKER_SOCKET, fd by an inherited "
        "descriptor (sd_listen_fds(3)): it stays open through a restart.",
        feeds="WORKER_PORT, WORKER_SOCKET",
    )
    port = Setting(
        "port",
        optional(scalar(words.port)),
        "null",
        "1024 to 65535 | null",
        "A pinned port; null: one of workers.port_range is assigned, and kept for life.",
        feeds="WORKER_PORT",
        for_all=False,
    )

    build_command = Setting(
        "build.command",
        parsers.command,
        "[]",
        "command line",
        "Makes the program. install runs it when the content of the sources, this or `environment` is not what was "
        "built, in a sandbox of its own, as build-NAME, in a copy of what everybody may read of the folder, at the "
        "folder's own path. What it makes comes back as root's and replaces what it made before; sources stay as they "
        "are. No name in it begins with a dash, and with a dot only in a folder that the build made itself, or if the "
        "build's or the worker's command names it. Default: from the type (node: where there is a package-lock.json, "
        "npm ci without scripts, then npm rebuild); [] builds nothing. It reaches other hosts, and nothing on this "
        "one's loopback. What a type presets loads its modules first, running none of their code, and then builds "
        "without a network.",
        feeds="tq-build@NAME.service",
    )
    build_environment = Setting(
        "build.environment",
        pairs(words.variable, words.value),
        "{}",
        "mapping of names to values",
        "Environment variables of the build, such as GOFLAGS, besides the worker's `environment`. Not for secrets: "
        "every process of the host may ask systemd for them, and whatever a build loads gets them.",
        feeds="Environment=",
        merges=1,
    )
    disk_max = Setting(
        "build.disk_max",
        parsers.size_between(1024**2, 1024**5),
        "4G",
        "size",
        "How much of the disk a build may take, its caches counted. It is looked at once a second, so a build that "
        "goes beyond it writes for a moment more; then it is killed, and leaves nothing. One file is never larger.",
        feeds="LimitFSIZE=",
    )
    release_command = Setting(
        "release.command",
        parsers.command,
        "[]",
        "command line",
        "Prepares a new release, such as the migrations of a database. `tqunits deploy` runs it once, before anything "
        "of the release serves, in the release's folder: as the worker's user, in its sandbox, with its limits, "
        "environment, credentials and folders, for 15 minutes at most. If it fails, the deploy has failed, and the "
        "release before serves on. install, restart and rollback do not run it. A deploy that was cut off may run it "
        "a second time, so it has to bear that. It listens nowhere: it has the placeholders of command but "
        "${WORKER_PORT}, ${PORT}, ${WORKER_SOCKET} and ${RUNTIME_DIRECTORY}, and no variables of `environment` with "
        "them. What `unit` says of the worker does not count for it.",
        fills="release_command",
        feeds="tq-release@NAME.service",
    )

    go_mem_limit = Setting(
        "runtime.go_mem_limit",
        parsers.unless_empty(scalar(parsers.at_least(1, values.size, values.print_size))),
        "null",
        f"{_SIZE} | null",
        "Go's soft memory limit: set it to about 90 % of limits.memory_max. Nothing in quotes is none.",
        feeds="GOMEMLIMIT",
    )
    go_max_procs = Setting(
        "runtime.go_max_procs",
        optional(number(0, 4096)),
        "null",
        "number | null",
        "How many threads run Go code at once: about limits.cpu_quota / 100 %; null or 0: as Go finds it right.",
        feeds="GOMAXPROCS",
    )
    node_max_old_space = Setting(
        "runtime.node_max_old_space",
        optional(scalar(parsers.memory_size)),
        "null",
        f"{_SIZE} | null",
        "The heap of Node: set it to about 75 % of limits.memory_max.",
        feeds="NODE_OPTIONS=--max-old-space-size",
    )
    max_requests = Setting(
        "runtime.max_requests",
        number(0, values.MANY),
        "0",
        "number",
        "Replace an instance after that many requests; 0: never.",
        in_effect=False,
    )
    max_age = Setting(
        "runtime.max_age", _NO_LIMIT_SPAN, "0", _SPAN, "Replace an instance at that age; 0: never.", in_effect=False
    )

    php_document_root = Setting(
        "php.document_root",
        scalar(words.path),
        "public",
        "path",
        "The folder from which the preset command of type php serves, below the worker's folder.",
        feeds="php -t",
    )
    php_settings = Setting(
        "php.settings",
        pairs(php.name, php.value),
        "{}",
        "mapping of names to values",
        "Settings of php.ini for the preset command of type php, such as {memory_limit: 128M, display_errors: Off}. "
        "Who writes a command of his own writes them there, as -d memory_limit=128M.",
        feeds="php -d",
        merges=1,
    )

    memory_max = _limit(
        "memory_max",
        scalar(parsers.memory),
        "512M",
        "size | percentage | infinity",
        "The kernel kills the worker when it needs more. A percentage is of the machine's memory.",
    )
    memory_high = _limit(
        "memory_high",
        optional(scalar(parsers.memory)),
        "null",
        "size | percentage | infinity | null",
        "The kernel slows the worker down and takes memory back from it above this.",
    )
    cpu_quota = _limit(
        "cpu_quota",
        scalar(values.cpu_quota),
        "100%",
        "percentage | infinity",
        "CPU time: 50% is half a CPU, 200% two.",
    )
    cpu_weight = _limit(
        "cpu_weight",
        number(1, 10_000),
        "100",
        "1 to 10000",
        "The share of CPU time when there is not enough for all.",
    )
    tasks_max = _limit(
        "tasks_max",
        scalar(parsers.count),
        "512",
        "number | infinity",
        "Processes and threads: what stops a fork bomb.",
    )
    limit_nofile = _limit(
        "limit_nofile",
        scalar(parsers.descriptors),
        "1024:524288",
        "number | SOFT:HARD",
        "Open files and connections of one process: SOFT to begin with, for programs that can take no more, and HARD "
        "for those that raise it themselves, as Go, Node and Java do. One number is both. Python and PHP raise "
        "nothing: write a number if they are to hold more than a thousand connections.",
    )
    limit_nproc = _limit(
        "limit_nproc",
        scalar(parsers.count),
        "512",
        "number | infinity",
        "Processes of the worker's user.",
    )
    io_weight = _limit(
        "io_weight",
        optional(number(1, 10_000)),
        "null",
        "1 to 10000 | null",
        "The share of disk bandwidth when there is not enough for all.",
    )

    restart_policy = Setting(
        "restart.policy",
        choice(RestartPolicy),
        "always",
        " | ".join(RestartPolicy),
        "When systemd starts it again.",
        feeds="Restart=",
    )
    restart_delay = Setting(
        "restart.delay", scalar(parsers.day), "1s", _SPAN, "How long it waits before that.", feeds="RestartSec="
    )
    max_restarts = Setting(
        "restart.max_restarts",
        number(0, values.MANY),
        "0",
        "number",
        "0: a worker that fails is started again for ever. Else so many times in a row; then the unit is failed, and "
        "stays so until somebody starts it. A restart that somebody asks for never counts, and begins a new row.",
        feeds="RestartPreventExitStatus=",
    )
    restart_period = Setting(
        "restart.period",
        _POSITIVE_SPAN,
        "5m",
        _SPAN,
        "A worker that was healthy for so long begins a new row of failures when it fails: with restart.delay, and "
        "with none counted.",
    )
    backoff_max = Setting(
        "restart.backoff_max",
        scalar(parsers.day),
        "30s",
        _SPAN,
        "The delay doubles from failure to failure up to this, at most 1d; 0: it does not grow. 'tqunits ls' shows "
        "when the next try comes, and whoever starts or restarts the worker has it at once.",
    )

    timeout_start = Setting(
        "timeouts.start",
        scalar(parsers.start_span),
        "60s",
        _SPAN,
        "From the start until the health check passes; at most 1h. TimeoutStartSec= itself is 5s longer (but for type "
        "notify), so that what the health check has seen is told, on a busy host too.",
        feeds="TimeoutStartSec=",
    )
    timeout_stop = Setting(
        "timeouts.stop", _POSITIVE_SPAN, "30s", _SPAN, "From SIGTERM until SIGKILL.", feeds="TimeoutStopSec="
    )
    timeout_request = Setting(
        "timeouts.request",
        _NO_LIMIT_SPAN,
        "0",
        _SPAN,
        "A whole request and its answer; 0: no limit, so streams may be long.",
    )
    timeout_read = Setting(
        "timeouts.read",
        _NO_LIMIT_SPAN,
        "30s",
        _SPAN,
        "The router waits so long for the worker's answer to begin and for more of it (504), and for a client to take "
        "some. See timeouts.stream for answers that are silent by nature.",
    )
    timeout_write = Setting(
        "timeouts.write",
        _NO_LIMIT_SPAN,
        "30s",
        _SPAN,
        "The router waits so long for the worker to take bytes of a body, and for the client's next.",
    )
    timeout_idle = Setting(
        "timeouts.idle",
        _NO_LIMIT_SPAN,
        "120s",
        _SPAN,
        "The router keeps an unused connection to the worker so long, but never over 1.5s.",
    )
    timeout_body = Setting(
        "timeouts.body",
        _NO_LIMIT_SPAN,
        "10s",
        _SPAN,
        "So far a request's body may lag behind proxy.min_body_rate; then the client is answered 408.",
    )
    timeout_stream = Setting(
        "timeouts.stream",
        _NO_LIMIT_SPAN,
        "1h",
        _SPAN,
        "In the place of timeouts.read for an answer that has begun and has no known length (in chunks, "
        "text/event-stream, until the connection ends), and for websockets: nothing may come for so long.",
    )
    timeout_drain = Setting(
        "timeouts.drain",
        _NO_LIMIT_SPAN,
        "30s",
        _SPAN,
        "An instance that is taken out of the routes may finish its requests so long.",
    )

    sandbox = Setting(
        "sandbox",
        parsers.sandbox,
        "standard",
        "strict | standard | jit | legacy, relaxations",
        "What the worker's process may do to the host. Default: jit for node, bun, deno and java, and, where no type "
        "is written, for a command of node, nodejs, npm, npx, yarn, pnpm, bun, bunx, deno, java or dotnet, wherever "
        "it lies, also behind env; standard for others. Relax "
        "by name: [standard, netlink] or {profile: standard, relax: [netlink]}. Relaxations: writable-code (the "
        "folders in its own but config, as with writable), "
        "host-users (no user namespace), write-execute (memory, for JITs), devices, netlink, proc, "
        "resources, home (reads /home), outbound, journal (sd_journal_send; stdout and syslog need none).",
        feeds="Protect*=, SystemCallFilter=, ...",
    )
    writable = Setting(
        "writable",
        listing(words.path_below),
        "[]",
        "path | list of paths",
        "Folders in the worker's own that it may write, such as data or public/uploads. install makes those that are "
        "missing, and gives them to the worker's user, with all that is root's in them; nobody else reads them, but "
        "for those that static.directory serves: there everybody may read what is made, whatever the umask. They are "
        "in no release: each one sees the same folders, with what earlier ones have written there. A worker that is "
        "not root's has none: what it writes belongs in $STATE_DIRECTORY.",
        feeds="BindPaths=",
        for_all=False,
    )
    depends_after = Setting(
        "depends.after",
        listing(unit_names.unit),
        "[]",
        "list of workers and units",
        "Workers by name (all instances of each), and units of this host with their suffix, that start before this "
        "worker, if they start at all.",
        feeds="After=",
    )
    depends_requires = Setting(
        "depends.requires",
        listing(unit_names.unit),
        "[]",
        "list of workers and units",
        "Workers by name (all instances of each), and units of this host with their suffix, without which this worker "
        "can not run. A start of this worker starts them first. Who stops them stops it, and who restarts them with "
        "systemctl restarts it; a deploy or a restart by tqunits that replaces their instances one after the other "
        "does not.",
        feeds="Requires=",
    )
    unit = Setting(
        "unit",
        directives,
        "{}",
        "mapping of sections",
        "systemd directives passed through, such as {Service: {Nice: 5}}. Only harmless ones, with harmless values: "
        f"others are for systemctl edit. {' '.join(reference())}",
        feeds="the unit",
        merges=2,
    )

    min_workers = Setting(
        "scaling.min_workers",
        scalar(parsers.instances),
        "1",
        "number",
        "Instances that always run. Requests go to the one with the fewest. `scale` in tqunits.yaml, which "
        "`tqunits scale NAME=N` writes, comes before it.",
    )
    max_workers = Setting(
        "scaling.max_workers",
        scalar(parsers.instances),
        "1",
        "number",
        "Instances that run under load.",
        in_effect=False,
    )
    target_inflight = Setting(
        "scaling.target_inflight",
        number(1, values.MANY),
        "32",
        "number",
        "Requests at once per instance to aim for.",
        in_effect=False,
    )
    scale_down_delay = Setting(
        "scaling.scale_down_delay",
        _NO_LIMIT_SPAN,
        "60s",
        _SPAN,
        "Quiet time before an instance is taken away.",
        in_effect=False,
    )
    idle_stop = Setting(
        "scaling.idle_stop",
        _NO_LIMIT_SPAN,
        "0",
        _SPAN,
        "Stop the worker without requests for so long; 0: never.",
        in_effect=False,
    )

    static_directory = Setting(
        "static.directory",
        scalar(words.path),
        "public",
        "path",
        "The folder with the files, absolute or below the worker's folder. The router sends them, also while the "
        "worker is down: only what everybody may read (chmod o+r), in folders that everybody may enter (o+x). Hidden "
        "files, links and PHP programs are not sent. The folder itself may be a link if only root can change it; "
        "nothing below /proc, /run, /sys and /dev is served. Why a folder is not served, the router says in its "
        "journal when it reads the routes. Beside a program, files are served only where 'static' is written. "
        "Once the worker is deployed, they are those of its release, unless the folder is outside of the worker's or "
        "one that it may write ('writable').",
    )
    static_prefix = Setting("static.prefix", scalar(words.route), "/", "route", "Where they appear below the route.")
