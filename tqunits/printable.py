"""Text of workers, files and clients as a terminal or the journal may have it."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` with every character that a terminal would obey made visible."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
