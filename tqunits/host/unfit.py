"""Finds certificates that the router could not serve with, before anything is changed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tqunits.errors import Diagnostic, Severity, TqunitsError
from tqunits.layout import Layout
from tqunits.model import Server
from tqunits.system import files
from tqunits.units import name, quote, unitfile


def refuse_unfit(server: Server, layout: Layout) -> tuple[Diagnostic, ...]:
    """Raise TqunitsError for a certificate with which the router would not start, or which clients
    would reject. A certificate of the second kind is not refused if the installed router already
    has it: an expired certificate must not keep other things from being installed.

    Returns what else is odd about the certificate.
    """
    certificate, key = server.tls.certificate, server.tls.key
    if certificate is None:
        return ()
    from tqunits.system.certificates import Certificates  # this loads OpenSSL, which takes time

    mark = server.origins["tls.certificate"].mark
    try:
        loaded = Certificates.load(Path(certificate), None if key is None else Path(key))
    except TqunitsError as error:
        is_keys = key is not None and error.message.startswith(f"{key}:")
        mark = server.origins["tls.key"].mark if is_keys else mark
        raise TqunitsError(f"tls: {error.message}", hint=error.hint, mark=mark) from None
    if loaded.expired and not _is_served(certificate, layout):
        raise TqunitsError(f"tls: {loaded.expired[0]}", hint="have it renewed first", mark=mark)
    warning = partial(Diagnostic, severity=Severity.WARNING, mark=mark, hint=None)
    return tuple(warning(message=f"tls: {each}") for each in loaded.warnings)


def _is_served(certificate: str, layout: Layout) -> bool:
    """Whether the installed routers have this certificate."""
    text = files.read_text_if_exists(Path(layout.units) / name.PROXY_TEMPLATE) or ""
    wanted = quote.credential("tls-certificate", certificate)
    return any(a.name == "LoadCredential" and a.value == wanted for a in unitfile.parse(text))
