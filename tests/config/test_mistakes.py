"""Every kind of mistake in worker.yaml: the place, what is wrong, and what to write instead, exactly."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tqunits.config.parse import WorkerText, parse_workers

from .parsing import Mistake, api, errors, server, text

IN_WORKER: dict[str, Mistake] = {
    "unknown-key": Mistake(
        "path: /a\ntype: go\nlimits: {memory_mx: 256M}", 3, 10, "unknown key 'memory_mx'", "did you mean 'memory_max'?"
    ),
    "unknown-key-of-a-group": Mistake(
        "path: /a\ntype: go\nmemory_max: 1G", 3, 1, "unknown key 'memory_max'", "did you mean 'limits.memory_max'?"
    ),
    "unknown-key-far-off": Mistake(
        "path: /a\ntype: go\nfrobnicate: 1", 3, 1, "unknown key 'frobnicate'", "'tqunits docs' lists all settings"
    ),
    "key-twice": Mistake("path: /a\ntype: go\npath: /b", 3, 1, "'path' is written twice", "first on line 1"),
    "path-missing": Mistake("type: go", 1, 1, "path is missing", "write the route, such as path: /api"),
    "path-empty": Mistake("path:\ntype: go", 1, 6, "path: is empty", "write at least one"),
    "path-relative": Mistake("path: api\ntype: go", 1, 7, "path: 'api' does not begin with /", "write /api"),
    "path-dots": Mistake("path: /a/../b\ntype: go", 1, 7, "path: '/a/../b' has empty or dot segments", "write /a/b"),
    "path-query": Mistake(
        "path: '/a?b'\ntype: go",
        1,
        7,
        "path: '/a?b' has characters in it that no route has",
        "letters, digits and ._~!$&'()+,;=:@- between slashes; no query, no #, no spaces",
    ),
    "path-wildcard": Mistake(
        "path: /a/*\ntype: go",
        1,
        7,
        "path: '/a/*' has characters in it that no route has",
        "no wildcards: a prefix takes everything below it",
    ),
    "path-space": Mistake(
        "path: /a b\ntype: go",
        1,
        7,
        "path: '/a b' has characters in it that no route has",
        "letters, digits and ._~!$&'()+,;=:@- between slashes; no query, no #, no spaces",
    ),
    "path-in-list-twice": Mistake("path: [/a, /b, /a/]\ntype: go", 1, 16, "path: '/a' is in the list twice", None),
    "host-wildcard": Mistake(
        "path: /a\ntype: go\nhost: '*.example.org'",
        3,
        7,
        "host: '*.example.org' is a wildcard",
        "list each name: host: [a.example.org, b.example.org]",
    ),
    "host-upper-case": Mistake(
        "path: /a\ntype: go\nhost: [a.org, WWW.Example.org]",
        3,
        15,
        "host: 'WWW.Example.org' is no host name",
        "write www.example.org",
    ),
    "host-with-port": Mistake(
        "path: /a\ntype: go\nhost: example.org:80",
        3,
        7,
        "host: 'example.org:80' has a port or scheme in it",
        "write example.org",
    ),
    "type-misspelled": Mistake(
        "path: /a\ntype: pyhton",
        2,
        7,
        "type: 'pyhton' is not one of go, python, node, bun, php, static, exec",
        "did you mean 'python'?",
    ),
    "command-missing": Mistake(
        "path: /a\ntype: exec",
        1,
        1,
        "command is missing",
        "write the command, or a type that presets one: go, python, node, bun, php",
    ),
    "user-root": Mistake(
        "path: /a\ntype: go\nuser: root",
        3,
        7,
        "user: a worker never runs as root",
        "leave it out: the worker gets a user of its own",
    ),
    "user-of-the-manager": Mistake(
        "path: /a\ntype: go\nuser: tqunits",
        3,
        7,
        "user: a worker never runs as tqunits",
        "leave it out: the worker gets a user of its own",
    ),
    "user-of-the-router": Mistake(
        "path: /a\ntype: go\nuser: tq-proxy",
        3,
        7,
        "user: a worker never runs as tq-proxy",
        "leave it out: the worker gets a user of its own",
    ),
    "user-zero": Mistake(
        "path: /a\ntype: go\nuser: '00'",
        3,
        7,
        "user: a worker never runs as 00",
        "leave it out: the worker gets a user of its own",
    ),
    "user-of-another-worker": Mistake(
        "path: /a\ntype: go\nuser: worker-web",
        3,
        7,
        "user: worker-web is the account of another worker",
        "leave it out: this one's own is worker-api",
    ),
    "user-nearly-its-own": Mistake(
        "path: /a\ntype: go\nuser: worker-api2",
        3,
        7,
        "user: worker-api2 is the account of another worker",
        "leave it out: this one's own is worker-api",
    ),
    "group-of-another-worker": Mistake(
        "path: /a\ntype: go\nlisten: unix\ngroup: worker-web",
        4,
        8,
        "group: worker-web is the account of another worker",
        "leave it out: this one's own is worker-api",
    ),
    "group-of-the-router": Mistake(
        "path: /a\ntype: go\ngroup: tq-proxy",
        3,
        8,
        "group: the group tq-proxy is tqunits' own",
        "leave it out: the worker gets a group of its own",
    ),
    "group-of-the-manager": Mistake(
        "path: /a\ntype: go\ngroup: tqunits",
        3,
        8,
        "group: the group tqunits is tqunits' own",
        "leave it out: the worker gets a group of its own",
    ),
    "group-root": Mistake(
        "path: /a\ntype: go\ngroup: root",
        3,
        8,
        "group: the group root is as good as root",
        "leave it out: the worker gets a group of its own",
    ),
    "group-number": Mistake(
        "path: /a\ntype: go\ngroup: 65534", 3, 8, "group: '65534' is a number", "write the name of the group"
    ),
    "user-hexadecimal": Mistake(
        "path: /a\ntype: go\nuser: 0x0",
        3,
        7,
        "user: '0x0' is no name of a user",
        "at most 31 of a-z, 0-9, - and _, no digit or - first",
    ),
    "user-number": Mistake(
        "path: /a\ntype: go\nuser: 1000", 3, 7, "user: '1000' is a number", "write the name of the user"
    ),
    "group-docker": Mistake(
        "path: /a\ntype: go\ngroup: docker",
        3,
        8,
        "group: the group docker is as good as root",
        "leave it out: the worker gets a group of its own",
    ),
    "variable-reserved": Mistake(
        "path: /a\ntype: go\nenvironment:\n  WORKER_PORT: 80",
        4,
        3,
        "environment: WORKER_PORT is set by tqunits or systemd",
        "set 'port' instead",
    ),
    "variable-name": Mistake(
        "path: /a\ntype: go\nenvironment: {2x: a}",
        3,
        15,
        "environment: '2x' is no name of a variable",
        "letters, digits and _, no digit first",
    ),
    "variable-list": Mistake(
        "path: /a\ntype: go\nenvironment: {A: [x]}", 3, 18, "environment: takes one value, not a list", None
    ),
    "environment-list": Mistake(
        "path: /a\ntype: go\nenvironment: [A=b]",
        3,
        14,
        "environment: takes a mapping of names to values",
        "write {name: value}, or one 'name: value' per line below it",
    ),
    "path-climbs": Mistake(
        "path: /a\ntype: go\nenvironment_file: ../secret",
        3,
        19,
        "environment_file: '../secret' climbs with ..",
        "write the absolute path",
    ),
    "credential-name": Mistake(
        "path: /a\ntype: go\ncredentials: {a/b: /c}",
        3,
        15,
        "credentials: 'a/b' is no name of a credential",
        "letters, digits, - _ and .",
    ),
    "credential-of-an-environment-file": Mistake(
        "path: /a\ntype: go\ncredentials: {environment-1: /c}",
        3,
        15,
        "credentials: 'environment-1' is the name of an environment file's credential",
        "take another name",
    ),
    "port-privileged": Mistake(
        "path: /a\ntype: go\nport: 80",
        3,
        7,
        "port: port 80 needs privilege, which no worker has",
        "take one from 1024 to 65535",
    ),
    "port-out-of-range": Mistake(
        "path: /a\ntype: go\nport: 70000",
        3,
        7,
        "port: 70000 is not within 1 and 65535",
        "take one from 1024 to 65535",
    ),
    "number-octal": Mistake(
        "path: /a\ntype: go\nlimits:\n  tasks_max: 010",
        4,
        14,
        "limits.tasks_max: '010' is not a whole decimal number",
        "write 10, or 8 if you meant it octal",
    ),
    "number-sexagesimal": Mistake(
        "path: /a\ntype: go\nlimits:\n  cpu_weight: 12:30",
        4,
        15,
        "limits.cpu_weight: '12:30' is not a whole decimal number",
        "write digits only, such as 10",
    ),
    "number-hexadecimal": Mistake(
        "path: /a\ntype: go\nlimits:\n  limit_nofile: 0x400",
        4,
        17,
        "limits.limit_nofile: '0x400' is not a whole decimal number",
        "write 1024",
    ),
    "kill-mode-that-leaves-processes": Mistake(
        "path: /a\ntype: go\nkill_mode: process",
        3,
        12,
        "kill_mode: 'process' is not one of control-group, mixed",
        None,
    ),
    "stop-signal-without-time": Mistake(
        "path: /a\ntype: go\nstop_signal: KILL",
        3,
        14,
        "stop_signal: 'KILL' is not one of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH",
        "it leaves no time to finish anything, and comes by itself when timeouts.stop is over",
    ),
    "stop-signal-misspelt": Mistake(
        "path: /a\ntype: go\nstop_signal: sigquit",
        3,
        14,
        "stop_signal: 'sigquit' is not one of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH",
        "did you mean 'SIGQUIT'?",
    ),
    "reload-by-number": Mistake(
        "path: /a\ntype: go\nreload: 1",
        3,
        9,
        "reload: '1' is not one of SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH",
        None,
    ),
    "reload-that-stops": Mistake(
        "path: /a\ntype: go\nstop_signal: HUP\nreload: SIGHUP",
        4,
        9,
        "reload: SIGHUP is the stop_signal: systemd would stop the worker by it",
        "write another signal for one of them",
    ),
    "watchdog-of-who-says-nothing": Mistake(
        "path: /a\ntype: go\nwatchdog: 10s",
        3,
        11,
        "watchdog: only a program that speaks to systemd can say that it lives",
        "write service_type: notify as well, or leave it out",
    ),
    "watchdog-in-no-time": Mistake(
        "path: /a\ntype: go\nservice_type: notify\nwatchdog: 0",
        4,
        11,
        "watchdog: '0' is less than 100ms",
        "write at least 100ms",
    ),
    "files-soft-above-hard": Mistake(
        "path: /a\ntype: go\nlimits: {limit_nofile: 4096:1024}",
        3,
        24,
        "limits.limit_nofile: '4096:1024': the soft limit is above the hard one",
        "write 1024:4096",
    ),
    "files-without-an-end": Mistake(
        "path: /a\ntype: go\nlimits: {limit_nofile: 'infinity'}",
        3,
        24,
        "limits.limit_nofile: 'infinity' is not a whole decimal number",
        "write digits only, such as 16",
    ),
    "number-out-of-range": Mistake(
        "path: /a\ntype: go\nlimits:\n  cpu_weight: 0",
        4,
        15,
        "limits.cpu_weight: 0 is not within 1 and 10000",
        "write a number from 1 to 10000",
    ),
    "size-decimal-unit": Mistake(
        "path: /a\ntype: go\nlimits: {memory_max: 512MB}",
        3,
        22,
        "limits.memory_max: '512MB' is not a size",
        "write 512M",
    ),
    "size-tiny": Mistake(
        "path: /a\ntype: go\nlimits: {memory_max: 512}",
        3,
        22,
        "limits.memory_max: 512 bytes are too few to run in",
        "did you mean '512M'?",
    ),
    "memory-percentage": Mistake(
        "path: /a\ntype: go\nlimits: {memory_max: 120%}",
        3,
        22,
        "limits.memory_max: '120%' is no share of the memory",
        "write 1% to 100%",
    ),
    "memory-high-above-max": Mistake(
        "path: /a\ntype: go\nlimits: {memory_max: 1G, memory_high: 2G}",
        3,
        39,
        "limits.memory_high: 2G is more than memory_max",
        "write less than 1G",
    ),
    "quota-without-percent": Mistake(
        "path: /a\ntype: go\nlimits: {cpu_quota: 2}",
        3,
        21,
        "limits.cpu_quota: '2' is not a CPU quota",
        "write 200% for 2 CPUs' time, or 2%",
    ),
    "span-unit": Mistake(
        "path: /a\ntype: go\ntimeouts: {stop: 5 fortnights}",
        3,
        18,
        "timeouts.stop: '5 fortnights' is not a time span",
        "write a number with ms, s, min, h or d, such as 1min 30s",
    ),
    "span-zero": Mistake(
        "path: /a\ntype: go\ntimeouts: {stop: 0}", 3, 18, "timeouts.stop: '0' is no time at all", "write more than 0"
    ),
    "span-clock": Mistake(
        "path: /a\ntype: go\ntimeouts: {stop: 1:30}",
        3,
        18,
        "timeouts.stop: '1:30' is not a time span",
        "write it with units, such as 1min 30s",
    ),
    "boolean": Mistake(
        "path: /a\ntype: go\nstrip_prefix: maybe", 3, 15, "strip_prefix: 'maybe' is neither true nor false", None
    ),
    "health-path": Mistake(
        "path: /a\ntype: go\nhealth: {path: health}",
        3,
        16,
        "health.path: 'health' is no request path",
        "begin with /, no spaces, no #: /health",
    ),
    "writable-all": Mistake(
        "path: /a\ntype: go\nwritable: .",
        3,
        11,
        "writable: '.' is the worker's own folder",
        "write folders below it: data, or public/uploads",
    ),
    "writable-configuration": Mistake(
        "path: /a\ntype: go\nwritable: [data, ./config/x]",
        3,
        18,
        "writable: './config/x' decides what the worker may do",
        "give it another folder",
    ),
    "writable-elsewhere": Mistake(
        "path: /a\ntype: go\nwritable: /srv/data",
        3,
        11,
        "writable: '/srv/data' is no folder below the worker's own",
        "write it from there: data",
    ),
    "writable-climbs": Mistake(
        "path: /a\ntype: go\nwritable: data/../config",
        3,
        11,
        "writable: 'data/../config' climbs with ..",
        "write the absolute path",
    ),
    "writable-twice": Mistake(
        "path: /a\ntype: go\nwritable: [public, public/uploads]",
        3,
        20,
        "writable: public/uploads is in public, which is the worker's to write already",
        "leave it out",
    ),
    "health-null": Mistake(
        "path: /a\ntype: go\nhealth: null",
        3,
        9,
        "health.type: null does not say what is meant",
        "write none to have no health check, or leave it out",
    ),
    "health-path-alone": Mistake(
        "path: /a\ntype: go\nhealth: /up",
        3,
        9,
        "health.type: '/up' is not one of http, tcp, command, none",
        "write health: {path: /up}",
    ),
    "health-status-class": Mistake(
        "path: /a\ntype: go\nhealth: {status: [200, 3xx]}",
        3,
        24,
        "health.status: '3xx' is no status of an answer",
        "write 300-399",
    ),
    "health-status-range": Mistake(
        "path: /a\ntype: go\nhealth: {status: [399-300]}",
        3,
        19,
        "health.status: '399-300' is no status of an answer",
        "such as 204, or 300-399; from 200 to 599",
    ),
    "health-status-of-no-end": Mistake(
        "path: /a\ntype: go\nhealth: {status: 101}",
        3,
        18,
        "health.status: '101' is no status of an answer",
        "such as 204, or 300-399; from 200 to 599",
    ),
    "health-status-empty": Mistake(
        "path: /a\ntype: go\nhealth: {status: []}", 3, 18, "health.status: is empty", "write at least one"
    ),
    "health-host-smuggles": Mistake(
        'path: /a\ntype: go\nhealth: {host: "a.example\\r\\nX: y"}',
        3,
        16,
        "health.host: 'a.example\r\nX: y' has a port or scheme in it",
        None,
    ),
    "health-host-with-port": Mistake(
        "path: /a\ntype: go\nhealth: {host: 'a.example:80'}",
        3,
        16,
        "health.host: 'a.example:80' has a port or scheme in it",
        "write a.example",
    ),
    "health-path-of-tcp": Mistake(
        "path: /a\ntype: go\nhealth: {type: tcp, path: /up}",
        3,
        27,
        "health.path has no meaning with health.type: tcp",
        "leave one of them out, or write type: http",
    ),
    "health-command-of-http": Mistake(
        "path: /a\ntype: go\nhealth: {command: [bin/well]}",
        3,
        19,
        "health.command has no meaning with health.type: http",
        "leave one of them out, or write type: command",
    ),
    "health-command-missing": Mistake(
        "path: /a\ntype: go\nhealth: command",
        3,
        9,
        "health.command is missing",
        'such as ["bin/well", "--port", "${PORT}"]',
    ),
    "health-command-placeholder": Mistake(
        "path: /a\ntype: go\nlisten: unix\nhealth: {type: command, command: ['bin/well', '${PORT}']}",
        4,
        47,
        "health.command: ${PORT} has no value here",
        "with listen: unix there is ${WORKER_SOCKET}",
    ),
    "health-command-credentials": Mistake(
        "path: /a\ntype: go\ncredentials: {key: /k}\n"
        "health: {type: command, command: ['bin/well', '${CREDENTIALS_DIRECTORY}']}",
        4,
        47,
        "health.command: ${CREDENTIALS_DIRECTORY} has no value here",
        "a health check has no credentials: only the program of the worker has them",
    ),
    "health-command-for-a-shell": Mistake(
        "path: /a\ntype: go\nhealth: {type: command, command: 'cd x'}",
        3,
        34,
        "health.command: cd is a word of the shell's, no program",
        'write ["sh", "-c", "cd …"]',
    ),
    "health-tcp-of-a-handed-socket": Mistake(
        "path: /a\ntype: go\nlisten: fd\nhealth: tcp",
        4,
        9,
        "health.type: tcp says nothing with listen: fd, for it is systemd that listens",
        "write http, command, or none",
    ),
    "health-timeout-above-interval": Mistake(
        "path: /a\ntype: go\nhealth: {timeout: 20s}",
        3,
        19,
        "health.timeout: 20s is more than interval",
        "write at most 10s, or raise interval",
    ),
    "scaling": Mistake(
        "path: /a\ntype: go\nscaling: {min_workers: 3, max_workers: 2}",
        3,
        24,
        "scaling.min_workers: 3 is more than max_workers",
        "write at most 2, or raise max_workers",
    ),
    "group-is-no-mapping": Mistake(
        "path: /a\ntype: go\nlimits: 5",
        3,
        9,
        "limits: holds settings, one 'key: value' per line",
        "such as {memory_max: 512M}",
    ),
    "value-is-a-mapping": Mistake(
        "path: {a: b}\ntype: go", 1, 7, "path: takes a list, not a mapping", "write [one, two]"
    ),
    "value-is-a-list": Mistake("path: /a\ntype: [go]", 2, 7, "type: takes one value, not a list", None),
    "depends-suffix": Mistake(
        "path: /a\ntype: go\ndepends: {after: [postgresql]}",
        3,
        19,
        "depends.after: there is no worker 'postgresql'",
        "for a unit of this host write postgresql.service",
    ),
    "depends-on-poweroff": Mistake(
        "path: /a\ntype: go\ndepends: {requires: poweroff.target}",
        3,
        21,
        "depends.requires: starting poweroff.target would end the host's work",
        "remove it",
    ),
    "static-files-of-the-worker-itself": Mistake(
        "path: /a\ntype: static\nstatic: {directory: .}",
        3,
        21,
        "static.directory: '.' has the worker's own files in it",
        "serve a folder of its own, such as public",
    ),
    "static-files-of-the-whole-host": Mistake(
        "path: /a\ntype: go\nstatic: {directory: /}",
        3,
        21,
        "static.directory: '/' has the worker's own files in it",
        "serve a folder of its own, such as public",
    ),
    "static-files-are-the-configuration": Mistake(
        "path: /a\ntype: go\nstatic: {directory: ./config/}",
        3,
        21,
        "static.directory: './config/' has the worker's own files in it",
        "serve a folder of its own, such as public",
    ),
    "static-files-of-the-whole-host-with-two-slashes": Mistake(
        "path: /a\ntype: go\nstatic: {directory: //}",
        3,
        21,
        "static.directory: '/' has the worker's own files in it",
        "serve a folder of its own, such as public",
    ),
    "static-files-are-credentials": Mistake(
        "path: /a\ntype: static\nstatic: {directory: /run/credentials/tq-proxy@1.service}",
        3,
        21,
        "static.directory: nothing below /run is served",
        "put the files elsewhere, such as below /srv",
    ),
    "static-files-of-a-process": Mistake(
        "path: /a\ntype: go\nstatic: {directory: //proc/./self/}",
        3,
        21,
        "static.directory: nothing below /proc is served",
        "put the files elsewhere, such as below /srv",
    ),
    "static-files-of-devices": Mistake(
        "path: /a\ntype: go\nstatic: {directory: /dev/shm}",
        3,
        21,
        "static.directory: nothing below /dev is served",
        "put the files elsewhere, such as below /srv",
    ),
    "static-files-of-the-kernel": Mistake(
        "path: /a\ntype: go\nstatic: {directory: /sys}",
        3,
        21,
        "static.directory: nothing below /sys is served",
        "put the files elsewhere, such as below /srv",
    ),
    "static-files-of-var-run": Mistake(
        "path: /a\ntype: go\nstatic: {directory: /var/run/x}",
        3,
        21,
        "static.directory: nothing below /run is served",
        "put the files elsewhere, such as below /srv",
    ),
    "depends-on-itself": Mistake(
        "path: /a\ntype: go\ndepends: {requires: tq-worker@api.service}",
        3,
        21,
        "depends.requires: a worker can not depend on itself",
        "remove it",
    ),
    "sandbox": Mistake(
        "path: /a\ntype: go\nsandbox: none",
        3,
        10,
        "sandbox: 'none' is neither a profile nor a relaxation",
        "see 'tqunits docs sandbox'",
    ),
    "sandbox-two-profiles": Mistake(
        "path: /a\ntype: go\nsandbox: [strict, legacy]",
        3,
        10,
        "sandbox: strict and legacy are both profiles",
        "write one, and relaxations",
    ),
    "build-user": Mistake(
        "path: /a\ntype: go\nuser: build-web",
        3,
        7,
        "user: a worker never runs as build-web",
        "leave it out: the worker gets a user of its own",
    ),
    "build-group": Mistake(
        "path: /a\ntype: go\ngroup: build-web",
        3,
        8,
        "group: the group build-web is tqunits' own",
        "leave it out: the worker gets a group of its own",
    ),
    "build-unbounded": Mistake(
        "path: /a\ntype: go\nbuild: {disk_max: infinity}",
        3,
        19,
        "build.disk_max: 'infinity' is more than 1P",
        "write less",
    ),
    "build-key": Mistake(
        "path: /a\ntype: go\nbuild: {comand: [make]}",
        3,
        9,
        "unknown key 'comand'",
        "did you mean 'command'?",
    ),
    "unit-privilege": Mistake(
        "path: /a\ntype: go\nunit: {Service: {User: root}}",
        3,
        18,
        "unit: 'User' is not passed through",
        "use the setting 'user'",
    ),
    "unit-exec": Mistake(
        "path: /a\ntype: go\nunit:\n  Service:\n    ExecStartPre: +/bin/sh",
        5,
        5,
        "unit: 'ExecStartPre' is not passed through",
        "use the setting 'build.command'",
    ),
    "unit-section": Mistake(
        "path: /a\ntype: go\nunit: {Install: {WantedBy: x}}",
        3,
        8,
        "unit: 'Install' is no section to pass through",
        "only Unit and Service can be passed through",
    ),
    "unit-wrong-section": Mistake(
        "path: /a\ntype: go\nunit: {Unit: {Nice: 5}}",
        3,
        15,
        "unit: 'Nice' is not passed through",
        "it belongs under Service:",
    ),
    "unit-capability": Mistake(
        "path: /a\ntype: go\nunit: {Service: {CapabilityBoundingSet: CAP_NET_ADMIN}}",
        3,
        18,
        "unit: 'CapabilityBoundingSet' is not passed through",
        "what is harmless is listed by 'tqunits docs unit'; for the rest there is systemctl edit",
    ),
    "merge-key": Mistake(
        "base: &b {path: /a}\n<<: *b",
        2,
        1,
        "merge keys (<<) are not read",
        "repeat the keys, or put them in defaults: of tqunits.yaml",
    ),
    "tag": Mistake(
        "path: !!python/object:os.system /a",
        1,
        7,
        "the tag tag:yaml.org,2002:python/object:os.system has no meaning here",
        "write the value without it",
    ),
    "second-document": Mistake(
        "path: /a\ntype: go\n---\npath: /b", 3, 1, "a second document begins here", "one file holds one document"
    ),
    "tab": Mistake("path: /a\nlimits:\n\tmemory_max: 1G", 3, 1, "a tab can not indent YAML", "use spaces"),
    "colon-in-text": Mistake(
        "path: /a\ncommand: bin/api --x: y",
        2,
        21,
        "not valid YAML: mapping values are not allowed in this context",
        "put a text that has ': ' in it in quotes",
    ),
    "bracket-open": Mistake(
        "path: [/a\ntype: go",
        2,
        5,
        "not valid YAML: did not find expected ',' or ']'",
        "a bracket is not closed, or a comma is missing",
    ),
    "no-mapping": Mistake("- path: /a", 1, 1, "the file holds settings, one 'key: value' per line", None),
}


@pytest.mark.parametrize("mistake", IN_WORKER.values(), ids=IN_WORKER)
def test_a_mistake_in_worker_yaml_is_said_with_its_place_and_a_hint(mistake: Mistake) -> None:
    result = api(mistake.yaml)
    place = f"api.yaml:{mistake.line}:{mistake.column}"
    assert errors(result.diagnostics) == [(place, mistake.message, mistake.hint)]
    assert result.configuration is not None
    assert (result.configuration.workers, result.configuration.broken) == ((), ("api",))


SERVED = {
    "of a worker without a program": ("path: /a\ntype: static", ["api.yaml:1:1"]),
    "beside a program": ("path: /a\ntype: go\nstatic: {prefix: /x}", ["api.yaml:1:1"]),
    "not served": ("path: /a\ntype: go", []),
    "elsewhere": ("path: /a\ntype: static\nstatic: {directory: /srv/x}", []),
}


@pytest.mark.parametrize(("yaml", "places"), SERVED.values(), ids=SERVED)
def test_files_of_a_worker_whose_own_folder_is_below_run(yaml: str, places: list[str]) -> None:
    one = WorkerText(
        name="api", folder=PurePosixPath("/run/site/workers/api"), text=text("api.yaml", yaml), not_roots=None
    )
    found = errors(parse_workers([one], server()).diagnostics)
    assert [place for place, message, _ in found if "nothing below /run is served" in message] == places
