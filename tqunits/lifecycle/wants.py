"""Recognises what a program needs and its sandbox denies, by the messages of the runtimes.

There is one row for each thing: a pattern for the call, and a pattern for the error that the
sandbox causes. The kernel's errors say little (EPERM has two dozen causes), so the call decides:
Python prints its source line, Node, Deno and Bun the name of the system call, Ruby, Go and tools
the function. Both patterns must match.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tqunits.late_pattern import late_pattern
from tqunits.lifecycle.error_lines import Complaint, cut
from tqunits.lifecycle.facts import Facts
from tqunits.lifecycle.kinds import ErrorKind
from tqunits.light_dataclass import dataclass
from tqunits.model import Relaxation


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """One thing that is needed. `what` continues "its sandbox does not let it". Without a
    relaxation nothing in `sandbox` allows it."""

    what: str
    relaxation: Relaxation | None = None
    instead: str = ""  # what to do if nothing allows it; otherwise a text before the line to write


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """What the program needs, and its message about it."""

    want: Want
    words: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class _Row:
    call: re.Pattern[str]
    error: re.Pattern[str]
    want: Want
    beyond: Want | None = None  # what the same message means if the worker has the relaxation already


_PERMITTED = r"(?i:operation not permitted)|\bEPERM\b"
_DENIED = rf"{_PERMITTED}|(?i:permission denied)|\bEACCES\b"
_FAMILY = r"(?i:address family not supported)|EAFNOSUPPORT|(?i:(system error|errno:?|os error) -?97\b)"
_INVALID = r"(?i:invalid argument)|\bEINVAL\b"
_LATE = r"(?i:timed? ?out)|\bETIMEDOUT\b"
_ITSELF = r""  # the error's own words name the call

_CHOWN = r"\b[fl]?ch(own|grp)(at|Sync)?\b|\bsetOwner"
_PRIORITY = r"(?i:set_?priority)|\bnice\b|\bniceness\b|proc_nice|\brenice\b|\bSCHED_"
_PLACEMENT = r"affinity|sched_set\w+|ioprio_set|set_mempolicy|\bmbind\b|migrate_pages|move_pages"


def _row(call: str, error: str, want: Want, beyond: Want | None = None) -> _Row:
    return _Row(late_pattern(call), late_pattern(error), want, beyond)


_RESOURCES = Want(what="set priorities, CPU affinity or memory policies", relaxation=Relaxation.RESOURCES)
_PRIVILEGED = Want(
    what="raise its priority",
    instead="leave that out: `limits: {cpu_weight: N}` in its worker.yaml says how much of the processor it gets",
)
_OUTBOUND = Want(what="reach other hosts", relaxation=Relaxation.OUTBOUND)
_NAMESPACES = Want(
    what="make namespaces",
    instead="leave its own sandbox out, as Chromium's --no-sandbox does: tqunits' is around it already",
)
_OTHERS_FILES = Want(
    what="give files to others",
    instead="leave that out, or let root do it before: what it makes belongs to its own user, see `user` and `group`; "
    "who binds a Unix socket of its own may call chown with `listen: unix`",
)

_ROWS = (
    _row(
        r"\b(bind|listen)\b.*(:|', )(\d{1,3}|10[01]\d|102[0-3])\b(?!\.)",
        r"(?i:permission denied)|\bEACCES\b",
        Want(
            what="listen on a port below 1024",
            instead="it must listen on 127.0.0.1:$PORT ($WORKER_PORT): 80 and 443 are the router's",
        ),
    ),
    _row(
        r"/run/systemd/journal|Failed to create stream fd|journald entry could not be written",
        rf"{_DENIED}|could not be written",
        Want(what="write to the journal's own sockets", relaxation=Relaxation.JOURNAL),
    ),
    _row(
        r"(?i:netlink|if_?nameindex|getifaddrs|network_?interfaces?\b|interface_addresses)",
        _FAMILY,
        Want(what="list network interfaces (netlink sockets)", relaxation=Relaxation.NETLINK),
    ),
    _row(
        r"SOCK_RAW|[AP]F_PACKET|(?i:raw socket)|\bip[46]?:(icmp|\d)|(?i:cap_net_raw)|\bping: sock",
        rf"{_PERMITTED}|{_FAMILY}|(?i:cap_net_raw)",
        Want(what="open raw sockets", instead="ask by TCP or HTTP instead of ping: that needs no capability"),
    ),
    _row(
        r"\b[AP]F_(?!UNIX|INET|NETLINK|LOCAL)[A-Z]+",
        _FAMILY,
        Want(what="open sockets of that family", instead="talk by AF_UNIX, AF_INET or AF_INET6"),
    ),
    _row(r"\bnice\(-|\bSCHED_(FIFO|RR|DEADLINE)\b", _PERMITTED, _PRIVILEGED),
    _row(rf"{_PRIORITY}|{_PLACEMENT}", _PERMITTED, _RESOURCES, _PRIVILEGED),
    _row(r"Only a super user may attempt to increase the priority", _ITSELF, _RESOURCES, _PRIVILEGED),
    _row(
        r"\bunshare\b|CLONE_NEW|(?i:\bnamespaces?\b)|\bbwrap\b|\bsetns\b",
        _PERMITTED,
        _NAMESPACES,
    ),
    _row(r"No usable sandbox!|No permissions to create new namespace", _ITSELF, _NAMESPACES),
    _row(
        r"(?i:\bu?mount2?\b)|pivot_root|\bchroot\b",
        rf"{_PERMITTED}|must be superuser",
        Want(
            what="mount file systems",
            instead="mount it for the host (fstab(5)), and put `depends: {requires: [X.mount]}` in its worker.yaml",
        ),
    ),
    _row(
        r"PTRACE_|\bptrace\b|process_vm_\w+",
        _PERMITTED,
        Want(what="look into other processes (ptrace)", instead="do that from outside, as root: 'strace -f -p PID'"),
    ),
    _row(
        r"\bset(res|re|e|fs)?[ug]id\b|\b(set|init)groups\b|(?i:\bsudo\b)",
        rf"{_PERMITTED}|{_INVALID}",  # for a number that its namespace does not have
        Want(
            what="become another user",
            instead="leave that out of its own settings: it runs as `user` of its worker.yaml, never as root",
        ),
    ),
    _row(
        r"\bfork/exec\b",  # Go: for SysProcAttr
        _PERMITTED,
        Want(
            what="start a program as another user, or in a namespace",
            instead="leave SysProcAttr out: what it starts runs as it does itself",
        ),
    ),
    _row(
        r"no new privileges. flag is set|\bsu: (Authentication failure|cannot set groups)|must be setuid root",
        _ITSELF,
        Want(
            what="become root or another user",
            instead="let root do that part: a timer or a service of its own, outside of the worker",
        ),
    ),
    _row(_CHOWN, _PERMITTED, _OTHERS_FILES),
    _row(
        _CHOWN,
        _INVALID,
        Want(
            what="give files to others",
            relaxation=Relaxation.HOST_USERS,
            instead="to another user it never may: leave that out; but to a group that its user is in:",
        ),
        _OTHERS_FILES,
    ),
    _row(
        r"\bf?chmod(at|Sync)?\b",
        _PERMITTED,
        Want(what="set the set-user-ID bit, or a mode of others' files", instead="leave that out"),
    ),
    _row(r"\bmknod\b", _PERMITTED, Want(what="make devices", instead="use those below /dev")),
    _row(
        r"\bmlock(all|2)?\b|MEMLOCK",
        rf"{_PERMITTED}|(?i:cannot allocate memory)|ENOMEM",
        Want(
            what="lock so much memory",
            instead="write `unit: {Service: {LimitMEMLOCK: 64M}}` in its worker.yaml: no part of `sandbox` sets it",
        ),
    ),
    _row(
        r"\bsetrlimit\b|\bprlimit\b|raise maximum limit",
        rf"{_PERMITTED}|not allowed to raise",
        Want(
            what="raise its own limits",
            instead="write `limits: {limit_nofile: N}` in its worker.yaml, or Limit...= in `unit: {Service: ...}`",
        ),
    ),
    _row(
        r"\bio_uring",
        rf"{_PERMITTED}|ENOSYS|(?i:not implemented)",
        Want(what="use io_uring", instead="set its library to epoll: no filter sees what a ring asks for"),
    ),
    _row(
        r"set(host|domain)name|settimeofday|clock_settime|adjtime|\bbpf\b|\bperf_event|personality|\bkeyctl\b|init_module"
        r"|\biopl\b|\bswapon\b|\breboot\b",
        _PERMITTED,
        Want(what="change what is the whole host's", instead="let root do that, outside of the worker"),
    ),
    _row(
        r"\bkill(pg)?\b",
        _PERMITTED,
        Want(what="send signals to processes of others", instead="it may signal its own processes alone"),
    ),
)

_TO_OTHERS = (
    _row(
        r"Temporary failure in name resolution|EAI_AGAIN|UnknownHostException|(?i:could not resolve host)"
        r"|(?i:lookup \S+ on \S+:53: (write|dial|read))",
        _ITSELF,
        _OUTBOUND,
    ),
    _row(r"\bsend(to|msg)?\b|\bwrite udp\b|\bdial (udp|tcp)|(?i:\bconnect)", _PERMITTED, _OUTBOUND),
    _row(r"(?i:connect|\bdial tcp\b|urlopen)", _LATE, _OUTBOUND),
)
"""IPAddressDeny= drops packets: a datagram fails with EPERM, a TCP connection is never
established."""

_LOCAL = late_pattern(r"\b127\.\d+\.\d+\.\d+\b|\blocalhost\b|::1\b|\.sock\b")
_OTHER_PROCESS = late_pattern(r"/proc/1(/|$)")  # another process may be a child of its own that has ended
_HOSTS_OWN_DEVICES = late_pattern(r"/dev/(kmsg|k?mem|port)$")


def found(facts: Facts, error: Complaint | None) -> Symptom | None:
    """What the error, or one of the lines, shows to be needed; None when no message is clear
    enough."""
    if error is not None:
        want = _of_path(facts, error) or _of_words(facts, f"{error.text}\n{error.around}")
        if want is not None:
            return Symptom(want=want, words=_words(facts, error), place=error.place)
        if not _is_vague(error):
            return None
    told = ((_of_words(facts, line), line) for line in map(cut, facts.lines))
    return next((Symptom(want=want, words=line.strip()) for want, line in told if want is not None), None)


def _words(facts: Facts, error: Complaint) -> str:
    """The error's own text, or the line around it that matches."""
    lines = [] if _of_words(facts, error.text) else error.around.splitlines()
    return next((line.strip() for line in lines if _of_words(facts, line)), error.text)


def _is_vague(error: Complaint) -> bool:
    """Whether the error may be the consequence of another line's error: a command has failed, or it
    is not an exception.

    An exception with its own place has ended the program; the program has survived what came before
    it.
    """
    return error.kind in _VAGUE and (not error.place or _OF_ANOTHER.search(error.text) is not None)


_VAGUE = frozenset({ErrorKind.OTHER, ErrorKind.NOT_PERMITTED})
_OF_ANOTHER = late_pattern(r"exit (status|code)|(?i:command failed|fetch failed)|exited with|subprocess")


def _of_words(facts: Facts, text: str) -> Want | None:
    return next(_wants(facts, text), None)


def _wants(facts: Facts, text: str) -> Iterator[Want]:
    for row in _rows(facts, text):
        if not (row.call.search(text) and row.error.search(text)):
            continue
        if row.want.relaxation is None or row.want.relaxation in facts.missing:
            yield row.want
        elif row.beyond is not None:
            yield row.beyond


def _rows(facts: Facts, text: str) -> Sequence[_Row]:
    is_outward = Relaxation.OUTBOUND in facts.missing and not _LOCAL.search(text)
    return (*_ROWS, *_TO_OTHERS) if is_outward else _ROWS


def _of_path(facts: Facts, error: Complaint) -> Want | None:
    """Files of the kernel that the sandbox hides. (A hidden file of another kind is found by
    looking at its path.)"""
    if error.kind not in {ErrorKind.NO_FILE, ErrorKind.PERMISSION, ErrorKind.NOT_PERMITTED}:
        return None
    path = error.path
    if _OTHER_PROCESS.match(path):
        return Want(what=f"see processes of others ({path})", instead="leave that out: it sees its own processes")
    if _HOSTS_OWN_DEVICES.match(path):
        return Want(what=f"read the kernel's memory and messages ({path})", instead="let root do that, outside of it")
    if path.startswith("/proc/") and error.kind is ErrorKind.NO_FILE and Relaxation.PROC in facts.missing:
        return Want(what=f"see {path}", relaxation=Relaxation.PROC)
    return None
