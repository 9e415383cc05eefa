"""`php:`: the settings of PHP's built-in server in the command that the type presets, and the
options that every PHP command needs in a sandbox.

A value is written as in php.ini: `E_ALL & ~E_NOTICE` is an expression, `Off` is false. A text that
php.ini would read as something else, such as a comment, is put in single quotes, where PHP takes it
unchanged (php_cli.c, option -d, and zend_ini_scanner.l, raw strings).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tqunits import placeholders
from tqunits.config import programs, words
from tqunits.config.reject import Reject, did_you_mean, shown
from tqunits.late_pattern import late_pattern
from tqunits.model import Sandbox

_NAME = late_pattern(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*")
_AS_IN_PHP_INI = late_pattern(r"(?:[A-Za-z0-9][A-Za-z0-9_.,:/+ @%~&|^-]*)?")
_FOLDER = "-t"
_SERVER = "-S"

_NO_JIT = ("-d", "pcre.jit=0", "-d", "opcache.jit_buffer_size=0")
"""For a sandbox without writable and executable memory. Without these options PCRE, and from PHP
8.4 on opcache, write a warning and go on."""

_SESSIONS = ("-d", "session.save_path=${STATE_DIRECTORY}", "-d", "session.gc_probability=1")
"""Debian's php.ini has sessions in a folder of root's, and leaves their removal to a job of root's
(the probability is 0)."""

_INI = ("-c", "--php-ini")
_TAKES_ANOTHER = frozenset("cdfrBRFEStz")  # options of php(1) that take an argument


def name(text: str) -> str:
    """The name of a directive of php.ini."""
    if _NAME.fullmatch(text):
        return text
    raise Reject(f"{shown(text)} is no name of a PHP setting", did_you_mean(text, ("memory_limit", "display_errors")))


def value(text: str) -> str:
    """Its value, in the form that follows `-d NAME=`."""
    words.line(text)
    if _AS_IN_PHP_INI.fullmatch(text) and text == text.strip():
        return text
    if "'" in text:
        raise Reject(
            f"{shown(text)} has a ' in it, which no quotes of php.ini take", "put it in a php.ini: php -c FILE"
        )
    return f"'{text}'"


def command(preset: Sequence[str], settings: Sequence[tuple[str, str]], document_root: str) -> tuple[str, ...]:
    """The preset command with the settings of `php:`."""
    words = list(preset)
    words[words.index(_FOLDER) + 1] = placeholders.escaped(document_root)
    at = words.index(_SERVER)  # after the preset's own settings, because the last one counts
    options = (word for key, text in settings for word in ("-d", placeholders.escaped(f"{key}={text}")))
    return (*words[:at], *options, *words[at:])


def sandboxed(command: Sequence[str], sandbox: Sandbox) -> tuple[str, ...]:
    """A PHP command with the options for this sandbox, directly after the program, so that later
    options override them.

    A command that names a php.ini keeps the folder for sessions of that file. Any other command is
    returned unchanged.
    """
    program = programs.program(command)
    if program is None or program.name != "php":
        return tuple(command)
    behind = command[program.at + 1 :]
    jit = () if sandbox.has_write_execute else _NO_JIT
    sessions = () if any(word.startswith(_INI) for _, word in _options(behind)) else _SESSIONS
    return (*command[: program.at + 1], *sessions, *jit, *behind)


def served(command: Sequence[str]) -> str | None:
    """The folder that a command of PHP's built-in server serves: relative to the worker's folder,
    with its placeholders unchanged."""
    program = programs.program(command)
    if program is None or program.name != "php":
        return None
    behind = command[program.at + 1 :]
    options = {option: at for at, option in _options(behind)}
    at = options.get(_FOLDER, len(behind)) + 1
    return behind[at] if _SERVER in options and at < len(behind) else None


def _options(words: Sequence[str]) -> Iterator[tuple[int, str]]:
    """PHP's own options and their indexes: those before the script. Words after the script belong
    to the script."""
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-", "--"):
        yield at, words[at]
        at += 2 if len(words[at]) == 2 and words[at][1] in _TAKES_ANOTHER else 1
