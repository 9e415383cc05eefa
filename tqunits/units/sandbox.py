"""The sandboxes: which profile and which relaxation sets which directive.

The template has the part of the sandbox that every profile keeps: no privileges, no capabilities, a
read-only system, other users' processes invisible. This module has the rest, one row for each
directive. So a drop-in shows the other half of a worker's sandbox, and this table shows every hole
that is possible.

None gets io_uring: what a ring asks for is no system call, so no filter sees it,
RestrictAddressFamilies= included, and @system-service has it (systemd-analyze syscall-filter @aio).
Its calls fail with EPERM, as where the kernel has none (/proc/sys/kernel/io_uring_disabled), and
libuv, liburing's users and Go go on without.

A worker that makes its own socket (`listen: unix`) may call chown(2) and the like: gunicorn gives
its socket to the account that it already runs as, and does not start if that fails. Without
CAP_CHOWN nobody can give a file away, and an owner can only change the group to one of his own
groups, so a worker gains nothing. But `systemd-analyze security` counts a filter with one call of
@privileged as one with all of them, which adds 0.1 to the exposure. The first SystemCallFilter=
decides about calls that no line names; each later one adds to that list or takes from it, in their
order (systemd.exec(5), the same in 252 and 257). So @chown has to come after ~@privileged.

ProcSubset=pid hides /proc/sys, /proc/meminfo and the like, which Go reads for its listen backlog
and every JIT for its heap; so only `strict` has it. A user's own manager may not make namespaces or
attach filters to a cgroup: there only what seccomp and prctl(2) do is left (systemd.exec(5), "User=
... user managers").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from tqunits.layout import HOMES
from tqunits.model import Listen, Profile, Relaxation, Sandbox, Worker
from tqunits.units import name, quote, unitfile

Directives = tuple[tuple[str, str], ...]

_BARE = frozenset({Profile.LEGACY})
_NETLINK = frozenset({Profile.JIT, Profile.LEGACY})

_RINGS = "io_uring_setup io_uring_enter io_uring_register"
_ERROR = ("SystemCallErrorNumber", "EPERM")  # without it a refused call would kill the worker

_OF_PATHS = frozenset({Relaxation.HOME, Relaxation.WRITABLE_CODE})
_WRITING = frozenset({"ReadWritePaths", "BindPaths"})
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - the folders that PrivateTmp= replaces; no file of ours

_JOURNAL = ("/run/systemd/journal/socket", "/run/systemd/journal/stdout", f"/run/systemd/journal.{name.ACCESS_LOG}")
"""The journal's sockets, and the folder with those of the access log's journal."""

PROFILES: Mapping[Profile, str] = {
    Profile.STRICT: "talks to this host only; sees of /proc nothing but processes",
    Profile.STANDARD: "may reach other hosts (Go, Python, Ruby, PHP, any binary)",
    Profile.JIT: "besides, maps memory writable and executable, and lists network interfaces (Node, Bun, Deno, Java)",
    Profile.LEGACY: "besides, calls the kernel as it likes, as programs of another architecture do; for want of better",
}
"""The profiles, from the closest on."""

EFFECTS: Mapping[Relaxation, str] = {
    Relaxation.WRITABLE_CODE: "it may write its own folder",
    Relaxation.HOST_USERS: "it sees the host's users",
    Relaxation.WRITE_EXECUTE: "memory may be writable and executable",
    Relaxation.DEVICES: "it sees the host's devices",
    Relaxation.NETLINK: "it may use netlink sockets",
    Relaxation.PROC: "it sees all of /proc",
    Relaxation.RESOURCES: "it may set priorities and limits",
    Relaxation.HOME: "it may read home folders",
    Relaxation.OUTBOUND: "it may reach other hosts",
    Relaxation.JOURNAL: "it may write entries of any size and with any field to the journal",
}
"""What each relaxation allows."""


def directives(worker: Worker, needed: Iterable[str], *, systemd: int, user_mode: bool) -> Directives:
    """The directives and values in [Service] of a worker's sandbox.

    `needed`: absolute paths, besides the worker's folder, that must stay visible where the sandbox
    hides a whole folder. Raises Unquotable for a folder that this version of systemd can not mount
    there.
    """
    sandbox = worker.sandbox
    if user_mode:
        return _filters(sandbox, own_socket=worker.listen is Listen.UNIX)
    return (
        *_namespaces(sandbox),
        *_paths(worker, needed, systemd),
        *_network(sandbox),
        *_journal(sandbox),
        *_filters(sandbox, own_socket=worker.listen is Listen.UNIX),
    )


def writable_in(text: str) -> tuple[str, ...]:
    """The folders that a drop-in of ours lets its worker write."""
    rows = (a.value for a in unitfile.parse(text) if a.section == "Service" and a.name in _WRITING)
    return tuple(value.strip('"').replace("%%", "%") for value in rows)


def remarks(sandbox: Sandbox) -> tuple[str, ...]:
    """A line of comment for the profile, and one for each hole in it."""
    holes = (f"relaxed: {r.value} ({EFFECTS[r]})" for r in sandbox.relaxations)
    return (f"sandbox: {sandbox.profile.value}", *holes)


def installed(text: str) -> Sandbox | None:
    """The sandbox, read back from these comments in a drop-in of ours."""
    notes = [line.split()[1:3] for line in text.splitlines() if line.startswith(("# sandbox: ", "# relaxed: "))]
    try:
        profiles = [Profile(word) for key, word in notes if key == "sandbox:"]
        relaxations = tuple(Relaxation(word) for key, word in notes if key == "relaxed:")
    except ValueError:  # written by another release
        return None
    return Sandbox(profile=profiles[0], relaxations=relaxations) if profiles else None


def missing(sandbox: Sandbox, *, user_mode: bool) -> frozenset[Relaxation]:
    """The relaxations that would change something: those that are not written, not part of the
    profile, and have an effect."""
    others = (each for each in Relaxation if each not in sandbox.relaxations)
    return frozenset(each for each in others if _changes(sandbox, each, user_mode=user_mode))


def _changes(sandbox: Sandbox, relaxation: Relaxation, *, user_mode: bool) -> bool:
    more = Sandbox(profile=sandbox.profile, relaxations=(*sandbox.relaxations, relaxation))
    if user_mode or relaxation not in _OF_PATHS:
        parts = (_filters,) if user_mode else (_filters, _namespaces, _network, _journal)
        return any(part(sandbox) != part(more) for part in parts)
    return True


def hidden_home(path: PurePosixPath) -> bool:
    """Whether ProtectHome= hides this path."""
    return any(path.is_relative_to(home) for home in HOMES)


def is_temporary(path: PurePosixPath) -> bool:
    """Whether PrivateTmp= hides this path."""
    return any(path.is_relative_to(folder) for folder in _TEMPORARY)


def _namespaces(sandbox: Sandbox) -> Directives:
    relaxed = sandbox.relaxations
    proc_only = sandbox.profile is Profile.STRICT and Relaxation.PROC not in relaxed
    return (
        ("PrivateUsers", quote.boolean(value=Relaxation.HOST_USERS not in relaxed)),
        ("PrivateDevices", quote.boolean(value=Relaxation.DEVICES not in relaxed)),
        ("DevicePolicy", "auto" if Relaxation.DEVICES in relaxed else "closed"),
        ("ProcSubset", "pid" if proc_only else "all"),
    )


def _paths(worker: Worker, needed: Iterable[str], systemd: int) -> Directives:
    """Home folders are hidden by an empty file system, in which the paths that the worker needs are
    mounted."""
    readable_home = Relaxation.HOME in worker.sandbox.relaxations
    writable = Relaxation.WRITABLE_CODE in worker.sandbox.relaxations
    own = put_back(worker)
    wanted = [*([(worker.folder, own)] if own else []), *((PurePosixPath(p), PurePosixPath(p)) for p in needed)]
    back = (there for path, there in wanted if _is_hidden(str(path), readable_home=readable_home))
    hidden = tuple(dict.fromkeys(back))
    rows = [("ProtectHome", "read-only" if readable_home else "tmpfs" if any(map(hidden_home, hidden)) else "yes")]
    for path in hidden:
        directive = "BindPaths" if path == own and writable else "BindReadOnlyPaths"
        rows.append((directive, quote.mount_word(str(path), systemd)))
    if writable and not is_hidden(worker):
        rows.append(("ReadWritePaths", quote.path_word(str(worker.folder))))
    for given in writable_paths(worker):
        # A release may lie over the folder that has it (release_mount.py), so it is mounted.
        if is_hidden(worker) or quote.is_mountable(given, systemd):
            rows.append(("BindPaths", quote.mount_word(given, systemd)))
        else:
            rows.append(("ReadWritePaths", quote.path_word(given)))
    return tuple(rows)


def writable_paths(worker: Worker) -> Sequence[str]:
    """The paths of the folders in its own that it may write (`writable`)."""
    return [str(worker.folder / below) for below in worker.writable] if worker.not_roots is None else []


def put_back(worker: Worker) -> PurePosixPath | None:
    """Which folder on the path to the worker's folder is mounted, where the sandbox hides homes and
    temporary folders.

    PID 1 resolves that path as root at each start, and follows links. Below another user's folder
    it may lead to anything that root can enter, and the worker would see it, whatever else bars the
    way. So for a worker that is not root's it is the first folder on the path that is not root's:
    nobody but root can replace that one. From there on the worker walks with its own rights. None:
    the first folder that is not root's is not on this path, or everybody may make names in it.
    """
    folder = worker.folder
    not_roots = worker.not_roots.path if worker.not_roots is not None else None
    if not_roots is None or (not_roots != folder and not_roots.is_relative_to(folder)):
        return folder
    is_anybodys = str(not_roots) in _TEMPORARY
    return not_roots if folder.is_relative_to(not_roots) and not is_anybodys else None


def is_hidden(worker: Worker) -> bool:
    """Whether the worker's folder lies in a folder that its sandbox hides."""
    return _is_hidden(str(worker.folder), readable_home=Relaxation.HOME in worker.sandbox.relaxations)


def _is_hidden(path: str, *, readable_home: bool) -> bool:
    places: Sequence[str] = _TEMPORARY if readable_home else (*HOMES, *_TEMPORARY)
    return any(PurePosixPath(path).is_relative_to(place) for place in places)


def _network(sandbox: Sandbox) -> Directives:
    if sandbox.profile is not Profile.STRICT or Relaxation.OUTBOUND in sandbox.relaxations:
        return ()
    return (("IPAddressDeny", "any"), ("IPAddressAllow", "localhost"))


def _journal(sandbox: Sandbox) -> Directives:
    """Hides the journal's own sockets.

    An entry that is sent there may have 768 MiB and any field, and counts as one message; and there
    are 4096 streams for the whole host (journald's STDOUT_STREAMS_MAX). Standard output is a stream
    that is opened before the sandbox exists. syslog(3) has a socket of its own, where a message is
    no larger than net.core.wmem_max. $JOURNAL_STREAM is unset because libraries would try the
    hidden socket.
    """
    if sandbox.profile in _BARE or Relaxation.JOURNAL in sandbox.relaxations:
        return ()
    hidden = " ".join(f"-{path}" for path in _JOURNAL)
    return (("InaccessiblePaths", hidden), ("UnsetEnvironment", "JOURNAL_STREAM"))


def _filters(sandbox: Sandbox, *, own_socket: bool = False) -> Directives:
    """The part that seccomp does (systemd.exec(5), SYSTEM CALL FILTERING); a user's manager can do
    it too."""
    relaxed, profile = sandbox.relaxations, sandbox.profile
    netlink = profile in _NETLINK or Relaxation.NETLINK in relaxed
    rows = [
        ("MemoryDenyWriteExecute", quote.boolean(value=not sandbox.has_write_execute)),
        ("RestrictAddressFamilies", "AF_UNIX AF_INET AF_INET6" + (" AF_NETLINK" if netlink else "")),
    ]
    if profile in _BARE:  # a list of denied calls only: every other call is allowed
        return (*rows, ("SystemCallFilter", f"~{_RINGS}"), _ERROR)
    denied = "~@privileged" if Relaxation.RESOURCES in relaxed else "~@privileged @resources"
    return (
        *rows,
        ("SystemCallArchitectures", "native"),
        ("SystemCallFilter", "@system-service"),
        ("SystemCallFilter", f"{denied} {_RINGS}"),
        *([("SystemCallFilter", "@chown")] if own_socket else []),
        _ERROR,
    )
