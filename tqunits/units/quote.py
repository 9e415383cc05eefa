r"""The only code that writes a value into a unit file: one function for each kind of place.

systemd parses a directive's value up to three times, and each kind of place has other rules
(systemd 252, src/shared/conf-parser.c and src/core/load-fragment.c; proven against systemd itself
by tests/units/test_quote_round_trip.py):

* Every line: a newline or a carriage return ends it, a backslash at its end joins the next line to
  it, and blanks at either end are dropped. A value with a control character can not be written
  exactly and is refused everywhere, except line feeds and tabs in arguments and variables, which
  have C escapes (man systemd.syntax, "Quoting").
* Specifiers: "%" begins one in most directives; "%%" is a percent sign.
* Words: Exec*=, Environment= and lists of paths are split at blanks, with quotes and C escapes;
  Only Exec*= also expands "$", and "$$" is a dollar sign. Directives with a single path or text
  have no quotes at all.
* Text that is not UTF-8, or has one of Unicode's noncharacters, makes systemd ignore the whole
  directive.

No function repairs a value: a value that can not be written exactly raises Unquotable.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from tqunits.errors import TqunitsError
from tqunits.late_pattern import late_pattern
from tqunits.model import INFINITY
from tqunits.resources import Share
from tqunits.units.name import is_unit_name

_LONGEST = 64 * 1024
"""Characters of one value. The kernel ends an argument at 128 KiB (MAX_ARG_STRLEN), systemd a line
at 1 MiB."""

_ESCAPED = "\n\t"
"""The control characters that systemd accepts in variables (env_value_is_valid() in its source) and
in arguments."""

_PLAIN_WORD = late_pattern(r"[A-Za-z0-9_./:@,+=-]+")
_PROGRAM_NAME = late_pattern(r"[A-Za-z0-9_.][A-Za-z0-9_.+-]*")
_PROGRAM_FORBIDDEN = frozenset("\"'\\$")
"""systemd refuses the first three in the path of a program (string_is_safe() in its source). It
leaves a "$" in the path, but expands it in the program's argv[0], by which Python finds its virtual
environment."""

_SERIALIZED_SINCE = 255
"""From this version on systemd passes a unit's mounts to another process (systemd-executor) as
words, and does not escape quotes in them: the unit fails with 226/NAMESPACE, or the executor with
"Failed to deserialize" (seen with 257)."""

_RENAME = "rename that file or folder"
_VARIABLE = late_pattern(r"[A-Za-z_][A-Za-z0-9_]*")
_CREDENTIAL = late_pattern(r"[A-Za-z0-9_.-]{1,255}")
_ACCOUNT = late_pattern(r"[A-Za-z_][A-Za-z0-9_-]{0,30}")
_NAME = late_pattern(r"[A-Za-z][A-Za-z0-9-]*")
_PORT = late_pattern(r"[1-9][0-9]{0,4}")
_LAST_PORT = 65535

_SIZES = ((1024**4, "T"), (1024**3, "G"), (1024**2, "M"), (1024, "K"))
_SPANS = ((3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1000, "ms"))
_QUOTA_STEP = 100  # µs of CPU per second: 0.01%, the finest step of CPUQuota=


class Unquotable(TqunitsError, ValueError):
    """A value that a unit file can not express."""


def word(value: str) -> str:
    """One argument of Exec*=."""
    return _quoted(_checked(value, "an argument", but=_ESCAPED).replace("%", "%%").replace("$", "$$"))


def program(value: str) -> str:
    """The first word of Exec*=: an absolute path, or a name that systemd looks for in its own
    search path.

    Before this word systemd reads "@", "-", ":", "+", "!" and "|" as prefixes, even in quotes; none
    of them is accepted here.
    """
    _checked(value, "a program")
    if not value.startswith("/") and not _PROGRAM_NAME.fullmatch(value):
        raise Unquotable(f"program {value!r}: neither an absolute path nor the plain name of a program")
    if value.endswith("/"):
        raise Unquotable(f"program {value!r}: a folder", hint="name the program in it")
    if not is_executable(value):
        raise Unquotable(
            f"program {value!r}: systemd can not run a path with a quote, a backslash or '$'", hint=_RENAME
        )
    return _quoted(value.replace("%", "%%"))


def is_executable(value: str) -> bool:
    """Whether systemd itself can run a program with this path. As an argument every path can be
    written."""
    return not _PROGRAM_FORBIDDEN & set(value)


def command(argv: Sequence[str]) -> str:
    """A whole Exec*= line."""
    return " ".join([program(argv[0]), *(word(argument) for argument in argv[1:])])


def assignment(variable: str, value: str) -> str:
    """One variable of Environment=. There "$" has no meaning and is not doubled."""
    if not _VARIABLE.fullmatch(variable):
        raise Unquotable(f"{variable!r}: not the name of an environment variable")
    return _quoted(f"{variable}={_checked(value, variable, but=_ESCAPED)}".replace("%", "%%"), always=True)


def variables(names: Iterable[str]) -> str:
    """Names of environment variables, for UnsetEnvironment=."""
    return " ".join(_matching(_VARIABLE, n, "the name of an environment variable") for n in names)


def path(value: str) -> str:
    """The path of a directive without quotes: WorkingDirectory=, SourcePath=, AssertPathExists=."""
    return _unquoted(_absolute(value), "a path").replace("%", "%%")


def folder(value: str) -> str:
    """The path of a folder, for a directive that removes a slash from its end (WorkingDirectory=).

    The slash protects a blank or a backslash at the end of the name, which the line would lose.
    """
    return path(f"{value}/" if value.endswith((" ", "\\")) else value)


def path_word(value: str) -> str:
    """One path in a list of paths (ReadWritePaths=). In quotes ":" is not a separator."""
    return _quoted(_absolute(value).replace("%", "%%"), always=True)


def mount_word(value: str, systemd: int) -> str:
    """One path of BindPaths= or BindReadOnlyPaths=, for this version of systemd."""
    if systemd >= _SERIALIZED_SINCE and {'"', "'"} & set(value):
        message = f"path {value!r}: systemd {systemd} can not mount a path with a quote"
        raise Unquotable(
            message, hint=f"{_RENAME}, or have it outside of homes and temporary folders, where none is mounted"
        )
    return path_word(value)


def is_mountable(value: str, systemd: int) -> bool:
    """Whether `mount_word` can express the path."""
    try:
        mount_word(value, systemd)
    except Unquotable:
        return False
    return True


def mount_pair(source: str, place: str, systemd: int) -> str:
    """The same for a path that is mounted in another place."""
    return f"{mount_word(source, systemd)}:{mount_word(place, systemd)}"


def credential(name: str, source: str) -> str:
    """LoadCredential=NAME:PATH. Everything after the first ":" is the path, unquoted."""
    return f"{_matching(_CREDENTIAL, name, 'the name of a credential')}:{path(source)}"


def text(value: str) -> str:
    """A line of plain text: Description=, our own X- section."""
    return _unquoted(_checked(value, "a text"), "a text").replace("%", "%%")


def untext(value: str) -> str:
    """The inverse of `text`."""
    return value.replace("%%", "%")


def comment(value: str) -> str:
    """A part of a comment line, where nothing is expanded."""
    return _checked(value, "a comment")


def verbatim(value: str) -> str:
    """A pass-through value in the directive's own syntax, with specifiers. It must be one whole
    line.

    The author of `unit:` writes systemd's syntax. The parser's allow-list decides which directives
    may appear.
    """
    return _unquoted(_checked(value, "a pass-through value"), "a pass-through value")


def directive(value: str) -> str:
    """The name of a directive or of a section."""
    return _matching(_NAME, value, "the name of a directive")


def account(value: str) -> str:
    """The name of a user or a group (systemd.io/USER_NAMES, the strict rules)."""
    return _matching(_ACCOUNT, value, "the name of a user or a group")


def socket_list(units: Iterable[str]) -> str:
    """Names of units for Sockets=, which removes backslashes; After= leaves them."""
    return unit_list(units).replace("\\", "\\\\")


def unit_list(units: Iterable[str]) -> str:
    """Names of units: After=, Requires=."""
    names = list(units)
    for unit in names:
        if not is_unit_name(unit):
            raise Unquotable(f"{unit!r}: not the name of a unit")
    return " ".join(names)


def address(value: str) -> str:
    """ListenStream=: HOST:PORT or [HOST]:PORT with a numeric host, or the path of a Unix socket."""
    if value.startswith("/"):
        return path(value)
    host, colon, port = value.rpartition(":")
    if not colon or not _is_host(host) or not _PORT.fullmatch(port) or int(port) > _LAST_PORT:
        raise Unquotable(f"address {value!r}: neither IPV4:PORT, [IPV6]:PORT nor the path of a socket")
    return value


def size(value: int) -> str:
    """Bytes, in the largest binary unit that expresses them exactly."""
    return "infinity" if value == INFINITY else _in_units(value, _SIZES, "")


def memory(value: int | Share) -> str:
    """A limit of memory: a size, or a share of the machine's memory. 0 is refused, because systemd
    ignores a limit of 0."""
    if value in (0, Share(permyriad=0)):
        raise Unquotable("a memory limit of 0 would be ignored by systemd, and limit nothing")
    return percent(value.permyriad) if isinstance(value, Share) else size(value)


def span(value: int) -> str:
    """Microseconds, in the largest unit that expresses them exactly."""
    return "infinity" if value == INFINITY else _in_units(value, _SPANS, "us")


def percent(permyriad: int) -> str:
    """Hundredths of a percent: 8050 is 80.5%."""
    whole, rest = divmod(permyriad, 100)
    return f"{whole}.{rest:02d}".rstrip("0") + "%" if rest else f"{whole}%"


def quota(microseconds: int) -> str:
    """CPUQuota=: microseconds of CPU per second as a percentage; an empty value means no quota."""
    if microseconds == INFINITY:
        return ""
    if microseconds <= 0 or microseconds % _QUOTA_STEP:
        raise Unquotable(f"a CPU quota of {microseconds} µs per second is no multiple of a hundredth of a percent")
    return percent(microseconds // _QUOTA_STEP)


def count(value: int) -> str:
    """A plain number."""
    return "infinity" if value == INFINITY else str(value)


def boolean(*, value: bool) -> str:
    """A boolean in systemd's own spelling."""
    return "yes" if value else "no"


def _quoted(value: str, *, always: bool = False) -> str:
    if not always and _PLAIN_WORD.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def _checked(value: str, what: str, but: str = "") -> str:
    if len(value) > _LONGEST:
        raise Unquotable(f"{what} of {len(value)} characters: a unit file takes {_LONGEST}")
    bad = next((c for c in value if _is_inexpressible(ord(c)) and c not in but), None)
    if bad is not None:
        raise Unquotable(f"{what} with the character {bad!r}: a unit file can not hold it", hint="leave it out")
    return value


def _is_inexpressible(code: int) -> bool:
    """Control characters (C0, DEL, C1), and what systemd's unichar_is_valid() refuses: surrogates
    and noncharacters."""
    control = code < 0x20 or 0x7F <= code < 0xA0
    return control or 0xD800 <= code < 0xE000 or 0xFDD0 <= code < 0xFDF0 or code & 0xFFFE == 0xFFFE


def _unquoted(value: str, what: str) -> str:
    if value != value.strip(" ") or value.endswith("\\"):
        raise Unquotable(f"{what} {value!r}: a blank at either end or a backslash at its end would be lost")
    return value


def _absolute(value: str) -> str:
    _checked(value, "a path")
    if not value.startswith("/") or ".." in value.split("/"):
        raise Unquotable(f"path {value!r}: not absolute, or with '..' in it")
    return value


def _is_host(host: str) -> bool:
    """An IPv4 address, or an IPv6 address in brackets. An address with a zone ("%eth0") is refused:
    it is valid on one link only."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return "%" not in host and host == (f"[{host[1:-1]}]" if address.version == 6 else str(address))


def _matching(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not pattern.fullmatch(value):
        raise Unquotable(f"{value!r}: not {what}")
    return value


def _in_units(value: int, units: Sequence[tuple[int, str]], smallest: str) -> str:
    for factor, suffix in units:
        if value and value % factor == 0:
            return f"{value // factor}{suffix}"
    return f"{value}{smallest}" if value else "0"
