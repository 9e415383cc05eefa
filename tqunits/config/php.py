"""`php:`: what PHP's own server is told, in the command that the type presets.

A value is taken as php.ini takes it: `E_ALL & ~E_NOTICE` is an expression, `Off` is false. What php.ini would take for
something else, a comment for one, goes in quotes, where PHP takes it as it stands (php_cli.c, option -d, and
zend_ini_scanner.l, raw strings).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tqunits import placeholders
from tqunits.config import words
from tqunits.config.reject import Reject, did_you_mean, shown

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*")
_AS_IN_PHP_INI = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_.,:/+ @%~&|^-]*)?")
_FOLDER = "-t"


def name(text: str) -> str:
    """The name of a directive of php.ini."""
    if _NAME.fullmatch(text):
        return text
    raise Reject(f"{shown(text)} is no name of a PHP setting", did_you_mean(text, ("memory_limit", "display_errors")))


def value(text: str) -> str:
    """Its value, as it stands behind `-d NAME=`."""
    words.line(text)
    if _AS_IN_PHP_INI.fullmatch(text) and text == text.strip():
        return text
    if "'" in text:
        raise Reject(
            f"{shown(text)} has a ' in it, which no quotes of php.ini take", "put it in a php.ini: php -c FILE"
        )
    return f"'{text}'"


def command(preset: Sequence[str], settings: Sequence[tuple[str, str]], document_root: str) -> tuple[str, ...]:
    """The preset command, with what `php:` says."""
    program, *rest = preset
    rest[rest.index(_FOLDER) + 1] = placeholders.escaped(document_root)
    options = (word for key, text in settings for word in ("-d", placeholders.escaped(f"{key}={text}")))
    return (program, *options, *rest)
