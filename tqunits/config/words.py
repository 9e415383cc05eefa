"""Texts with a grammar: routes, host names, Unix names, paths, variables, unit names.

Each function returns the normalised text, or raises Reject.

Every accepted text may be written into a unit file, a sysusers.d file or the routes: none contains
a control character. Grammars: routes are RFC 3986 segments (section 3.3) without percent-encoding,
because the router compares them as written; host names RFC 1123 section 2.1; users by systemd's
strict rules (systemd.io/USER_NAMES); unit names systemd.unit(5).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address, ip_network

from tqunits.alone.variables import is_reserved
from tqunits.config.reject import SHOWN, Reject, did_you_mean, shown
from tqunits.config.values import integer
from tqunits.late_pattern import late_pattern
from tqunits.model import PRIVILEGED_GROUPS, is_reserved_account

PORTS = (1024, 65535)
"""A worker's ports: below 1024 the kernel requires a privilege, which no worker has."""

LONGEST = 32 * 1024
"""The greatest length of a value, in characters. systemd accepts a line of 1 MiB, the kernel an
argument of 128 KiB, in bytes (MAX_ARG_STRLEN)."""

MOST_OF_A_COMMAND = 64 * 1024


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_VARIABLE_SETTINGS = {"WORKER_PORT": "port", "WORKER_ROUTE": "path", "WORKER_PATH": "path"}
_UNPRINTABLE = "\x7f-\x9f\u2028\u2029\ud800-\udfff"
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
_CONTROL = late_pattern(f"[\x00-\x1f{_UNPRINTABLE}{_NONCHARACTERS}]")
_NOT_IN_VALUES = late_pattern(f"[\x00-\x08\x0b-\x1f{_UNPRINTABLE}{_NONCHARACTERS}]")
_ROUTE = late_pattern(r"[A-Za-z0-9._~!$&'()+,;=:@/-]*")
_ROUTE_MAX = 1000
_LABEL = late_pattern(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_UNIX_NAME = late_pattern(r"[a-z_][a-z0-9_-]{0,30}")
_VARIABLE = late_pattern(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_ENVIRONMENT = late_pattern(r"environment-[0-9]+")
_CREDENTIAL = late_pattern(r"[A-Za-z0-9_.-]{1,128}")
_UNIT_TYPES = _set("service socket device mount automount swap target path timer slice scope")
_UNIT_NAME = late_pattern(r"[A-Za-z0-9:_.\\@-]{1,255}")
_PROGRAM_NAME = late_pattern(r"[A-Za-z0-9_.][A-Za-z0-9_.+-]*")
_PLACEHOLDER = late_pattern(r"\$\{[A-Z_]+\}")
_ASSIGNMENT = late_pattern(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_SHELLS_OWN = _set("cd exec source . export set unset ulimit umask eval trap alias if for while until case { ( !")
_SOCKET_MAX = 107  # sun_path of unix(7) has 108 bytes; the last one is NUL
_MANY_SLASHES = late_pattern("//+")
_NAME_MAX, _PATH_MAX = 255, 4095
"""The greatest number of bytes of a file name and of a path: the kernel's limits (limits.h), which
systemd enforces for units."""

_LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
"""As systemd's IPAddressAllow=localhost has it (systemd.resource-control(5))."""

_WORKER_NAME = late_pattern(r"[a-z][a-z0-9_-]{0,23}")


def line(text: str) -> str:
    """Any text of one line."""
    return _without(_CONTROL, text)


def value(text: str) -> str:
    """A text for a program. It may have line feeds and tabs, which systemd can express
    (env_value_is_valid())."""
    return _without(_NOT_IN_VALUES, text)


def _without(pattern: re.Pattern[str], text: str) -> str:
    control = pattern.search(text)
    if control is not None:
        hint = "save the file with line feeds as line ends" if control.group() == "\r" else "remove it"
        raise Reject(f"{shown(text)} has the control character {ord(control.group()):#04x} in it", hint)
    if len(text) > LONGEST:
        raise Reject(f"{shown(text)} is longer than {LONGEST} characters", "put it in a file")
    return text


def word(text: str) -> str:
    """A line that is not empty."""
    if not text:
        raise Reject("'' is empty")
    return line(text)


class WrongWord(Reject):
    """A command that can not be run because of one of its words."""

    def __init__(self, word: int, message: str, hint: str | None) -> None:
        super().__init__(message, hint)
        self.word = word


def check_command(argv: Sequence[str]) -> None:
    """Raise WrongWord for a command that no unit can express, or that needs a shell."""
    if not argv:
        return
    assigned = _ASSIGNMENT.fullmatch(argv[0])
    if assigned is not None:
        hint = f"write it below environment, as {assigned[1]}: {assigned[2] or chr(34) * 2}"
        raise WrongWord(0, f"{shown(argv[0])} sets a variable, which only a shell does here", hint)
    if argv[0] in _SHELLS_OWN:
        hint = "leave it out" if argv[0] == "exec" else f'write ["sh", "-c", "{argv[0]} …"]'
        raise WrongWord(0, f"{argv[0]} is a word of the shell's, no program", hint)
    try:
        _check_program(argv[0])
    except Reject as error:
        raise WrongWord(0, error.message, error.hint) from error
    length, longest = 0, MOST_OF_A_COMMAND
    for at, each in enumerate(argv):
        length += len(each)
        if length > longest:
            raise WrongWord(at, f"the command is longer than {longest} characters", "put a part of it in a file")


def _check_program(text: str) -> None:
    """The first word: a path, or a name that systemd looks for in its own search path
    (units/quote.py, program)."""
    line(text)
    if not text:
        raise Reject("the program is ''", "write the program's name or path first")
    if text[0] in "-@:+!|" and "/" in text:
        raise Reject(f"{shown(text)} begins with {text[0]}", f"write {text.lstrip('-@:+!|')}")
    if text.endswith("/"):
        raise Reject(f"{shown(text)} is a folder, no program", "write the program's own path")
    if "/" in text:
        _bounded_path(text)
        return
    name = _PLACEHOLDER.sub("x", text)
    if not _PROGRAM_NAME.fullmatch(name) or not name.strip(".") or len(name) > _NAME_MAX:
        is_short = len(text) < SHOWN and name.strip(".")
        hint = f"a program in the worker's folder is written with its path: ./{text}" if is_short else None
        raise Reject(f"{shown(text)} is no name of a program", hint)


def is_worker_name(text: str) -> bool:
    """Whether a worker may have this name."""
    return bool(_WORKER_NAME.fullmatch(text))


def worker_name(text: str) -> str:
    """The name of a worker's folder. It is also the instance name of its unit, and its user is
    `worker-NAME` (at most 31 characters)."""
    if is_worker_name(text):
        return text
    if len(text) > 24:
        raise Reject(f"{shown(text)} is too long for a worker's name", "rename the folder: at most 24 characters")
    raise Reject(f"{shown(text)} is no worker's name", "rename the folder: a-z first, then a-z, 0-9, - and _")


def route(text: str) -> str:
    """A route prefix. It begins with "/" and has no empty or dot segments; a trailing slash is
    removed."""
    if len(text) > _ROUTE_MAX:
        raise Reject(f"{shown(text)} is longer than {_ROUTE_MAX} characters", "a prefix takes everything below it")
    if not text.startswith("/"):
        raise Reject(f"{shown(text)} does not begin with /", f"write /{text}" if _ROUTE.fullmatch(text) else None)
    if not _ROUTE.fullmatch(text):
        raise Reject(f"{shown(text)} has characters in it that no route has", _route_hint(text))
    segments = text.rstrip("/").split("/")[1:]
    if any(segment in ("", ".", "..") for segment in segments) or text.endswith("//"):
        clean = "/" + "/".join(s for s in segments if s not in ("", ".", ".."))
        raise Reject(f"{shown(text)} has empty or dot segments", f"write {clean}")
    return text.rstrip("/") or "/"


def request_path(text: str) -> str:
    """The path of a health check: as route(), but with an optional query and with its trailing
    slash."""
    if not re.fullmatch(r"/[!-~]*", text) or "#" in text:
        raise Reject(f"{shown(text)} is no request path", "begin with /, no spaces, no #: /health")
    return text


def host(text: str) -> str:
    """A host name, lower case, without port."""
    if "*" in text:
        raise Reject(f"{shown(text)} is a wildcard", "list each name: host: [a.example.org, b.example.org]")
    name, colon, _ = text.partition(":")
    if colon:
        raise Reject(f"{shown(text)} has a port or scheme in it", f"write {name}" if _is_host(name) else None)
    if _is_host(text):
        return text
    lower = text.lower().rstrip(".")
    raise Reject(f"{shown(text)} is no host name", f"write {lower}" if _is_host(lower) else "such as www.example.org")


def user(text: str) -> str:
    """The Unix user of a worker: not root, not the user who may control the router, and not the
    router."""
    if is_reserved_account(text) or re.fullmatch(r"0+", text):
        raise Reject(f"a worker never runs as {text}", "leave it out: the worker gets a user of its own")
    return _unix_name(text, "user")


def group(text: str) -> str:
    """The Unix group of a worker: no group that is as good as root, and not the router's."""
    if is_reserved_account(text) and text != "root":
        raise Reject(f"the group {text} is tqunits' own", "leave it out: the worker gets a group of its own")
    if text in PRIVILEGED_GROUPS or re.fullmatch(r"0+", text):
        raise Reject(f"the group {text} is as good as root", "leave it out: the worker gets a group of its own")
    return _unix_name(text, "group")


def variable(text: str) -> str:
    """The name of an environment variable that neither systemd nor tqunits sets. PORT is accepted
    (variable_rules.py)."""
    if not _VARIABLE.fullmatch(text):
        raise Reject(f"{shown(text)} is no name of a variable", "letters, digits and _, no digit first")
    if is_reserved(text, has_port=False):
        setting = _VARIABLE_SETTINGS.get(text)
        hint = f"set '{setting}' instead" if setting else "remove it: the worker gets it anyway where it applies"
        raise Reject(f"{text} is set by tqunits or systemd", hint)
    return text


def credential(text: str) -> str:
    """The name of a credential: a file name below $CREDENTIALS_DIRECTORY."""
    if _ENVIRONMENT.fullmatch(text):
        raise Reject(f"{shown(text)} is the name of an environment file's credential", "take another name")
    if _CREDENTIAL.fullmatch(text) and text not in (".", ".."):
        return text
    raise Reject(f"{shown(text)} is no name of a credential", "letters, digits, - _ and .")


def path(text: str) -> str:
    """The path of a file, absolute or below the worker's folder, without "..". Several slashes
    count as one, as in the kernel."""
    if text != text.strip(" ") or text.endswith("\\"):
        raise Reject(f"{shown(text)} has a blank at either end or a backslash at its end", "rename the file")
    return folder(text)


def folder(text: str) -> str:
    """The path of a folder, with the same rules. Its name may end with any character, because units
    write the path with a slash after it."""
    if text.startswith("-/"):
        raise Reject(f"{shown(text)} begins with -", f"write {text[1:]}: a missing file is an error, not a surprise")
    if ".." in text.split("/"):
        raise Reject(f"{shown(text)} climbs with ..", "write the absolute path")
    return _bounded_path(_MANY_SLASHES.sub("/", word(text)))


def path_below(text: str) -> str:
    """A folder below the worker's own, but not its configuration."""
    clean = path(text).rstrip("/")
    if text.startswith("/"):
        raise Reject(f"{shown(text)} is no folder below the worker's own", "write it from there: data")
    parts = [part for part in clean.split("/") if part != "."]
    if not parts:
        raise Reject(f"{shown(text)} is the worker's own folder", "write folders below it: data, or public/uploads")
    if parts[0] == "config":
        raise Reject(f"{shown(text)} decides what the worker may do", "give it another folder")
    return "/".join(parts)


def _bounded_path(text: str) -> str:
    """Raise Reject for a path that no file system accepts."""
    if any(len(name.encode()) > _NAME_MAX for name in text.split("/")) or len(text.encode()) > _PATH_MAX:
        raise Reject(f"{shown(text)} is too long for a path", f"names have {_NAME_MAX} bytes, paths {_PATH_MAX}")
    return text


def unit_name(text: str) -> str:
    """A whole unit name, with its suffix."""
    if not _UNIT_NAME.fullmatch(text):
        raise Reject(f"{shown(text)} is no unit name", "such as postgresql.service")
    stem, dot, suffix = text.rpartition(".")
    if not dot or suffix not in _UNIT_TYPES:
        near = did_you_mean(suffix, _UNIT_TYPES) if dot else None
        raise Reject(f"{shown(text)} has no unit's suffix", near or f"did you mean '{text}.service'?")
    if not stem or stem.endswith("@"):
        raise Reject(f"{shown(text)} is no unit name", "a template needs an instance: name@instance.service")
    return text


def port(text: str) -> int:
    """A port that a worker can listen on."""
    try:
        value = integer(text, least=1, most=PORTS[1])
    except Reject as error:
        outside = (
            f"take one from {PORTS[0]} to {PORTS[1]}" if text.isdecimal() and not text.startswith("0") else error.hint
        )
        raise Reject(error.message, outside) from error
    if value < PORTS[0]:
        raise Reject(f"port {value} needs privilege, which no worker has", f"take one from {PORTS[0]} to {PORTS[1]}")
    return value


def port_range(text: str) -> tuple[int, int]:
    """Both ends of `9000-9999`."""
    first, dash, last = text.replace(" ", "").partition("-")
    if not dash:
        raise Reject(f"{shown(text)} is no range of ports", "write both ends: 9000-9999")
    ends = (port(first), port(last))
    if ends[0] > ends[1]:
        raise Reject(f"{shown(text)} ends before it begins", f"write {ends[1]}-{ends[0]}")
    return ends


def listen_address(text: str) -> str:
    """An address for the router: ADDRESS:PORT, [ADDRESS]:PORT or /path.sock."""
    if text.startswith("/"):
        return _socket_path(text)
    address, colon, number = text.rpartition(":")
    if not colon:
        raise Reject(f"{shown(text)} is no address with a port", f"write 0.0.0.0:{text}" if text.isdecimal() else None)
    integer(number, least=1, most=65535)
    if not _is_address(address):
        hint = f"write 127.0.0.1:{number}" if address == "localhost" else f"write 0.0.0.0:{number} or [::]:{number}"
        raise Reject(f"{shown(address)} is no address", hint)
    return text


def loopback_address(text: str) -> str:
    """An address of this host alone, with a port that needs no privilege: 127.0.0.1:9109 or
    [::1]:9109."""
    if text.startswith("/"):
        raise Reject(f"{shown(text)} is a path", "the manager makes no files: write 127.0.0.1:9109 or [::1]:9109")
    if text.isdecimal():
        raise Reject(f"{shown(text)} is no address with a port", f"write 127.0.0.1:{text}")
    address, _, number = listen_address(text).rpartition(":")
    if "%" in address or not any(ip_address(address.strip("[]")) in network for network in _LOOPBACK):
        raise Reject(f"{shown(address)} is no loopback address", f"write 127.0.0.1:{number} or [::1]:{number}")
    if int(number) < PORTS[0]:
        raise Reject(f"port {number} needs privilege, which the manager has not", "take one from 1024 to 65535")
    return text


def _socket_path(text: str) -> str:
    socket = path(text)
    if socket.endswith("/"):
        raise Reject(f"{shown(text)} is a folder, no socket", f"write {socket.rstrip('/')}/http.sock")
    if len(socket.encode()) > _SOCKET_MAX:
        raise Reject(f"{shown(text)} is too long for a socket", f"a socket's path has at most {_SOCKET_MAX} bytes")
    return socket


def network(text: str) -> str:
    """An address or a network in CIDR form."""
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise Reject(f"{shown(text)} is no network", "such as 10.0.0.0/8 or 2001:db8::/32") from error


def _unix_name(text: str, what: str) -> str:
    if text.isdecimal():
        raise Reject(f"{shown(text)} is a number", f"write the name of the {what}")
    if not _UNIX_NAME.fullmatch(text):
        raise Reject(f"{shown(text)} is no name of a {what}", "at most 31 of a-z, 0-9, - and _, no digit or - first")
    return text


def _is_host(text: str) -> bool:
    return len(text) <= 253 and all(_LABEL.fullmatch(label) for label in text.split("."))


def _is_address(text: str) -> bool:
    try:
        if text.startswith("[") and text.endswith("]"):
            IPv6Address(text[1:-1])
        else:
            IPv4Address(text)
    except AddressValueError:
        return False
    return True


def _route_hint(text: str) -> str:
    if "*" in text:
        return "no wildcards: a prefix takes everything below it"
    if "%" in text:
        return "write the characters themselves, not percent-encoded"
    return "letters, digits and ._~!$&'()+,;=:@- between slashes; no query, no #, no spaces"
