"""The rows of SETTINGS for the signals that systemd sends to a worker's processes, and for the
watchdog."""

from __future__ import annotations

from typing import Final

from tqunits.config import parsers, values
from tqunits.config.parsers import choice, optional, scalar
from tqunits.config.reject import Reject, shown
from tqunits.config.setting import Setting
from tqunits.model import KillMode

STOPS: Final = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH")
"""Signals on which programs stop. SIGKILL is not one of them: it leaves no time to finish
anything."""

RELOADS: Final = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH")
"""Signals on which programs read their configuration again, or replace their own processes."""


_INSTEAD = {"SIGKILL": "it leaves no time to finish anything, and comes by itself when timeouts.stop is over"}


def _signal(known: tuple[str, ...], text: str) -> str:
    """A signal by its name in signal(7), with or without SIG. Raises Reject."""
    name = text if text.upper().startswith("SIG") else f"SIG{text}"
    if name in known:
        return name
    near = name.upper() if name.upper() in known else None
    hint = f"did you mean '{near}'?" if near else _INSTEAD.get(name)
    raise Reject(f"{shown(text)} is not one of {', '.join(known)}", hint)


class SignalSettings:
    """The settings for stop and reload signals, and for the watchdog."""

    kill_mode = Setting(
        "kill_mode",
        choice(KillMode),
        "control-group",
        " | ".join(KillMode),
        "Who gets the stop_signal: every process of the worker, so that a program behind a shell or 'npm start' hears "
        "of it too; or, with mixed, the main process alone, for a master whose own processes do not finish their work "
        "when they are told by somebody else. Then those that are left get SIGKILL: with control-group when "
        "timeouts.stop is over, with mixed as soon as the main process has ended.",
        fills="signals.kill_mode",
        feeds="KillMode=",
    )
    stop_signal = Setting(
        "stop_signal",
        scalar(lambda text: _signal(STOPS, text)),
        "SIGTERM",
        " | ".join(STOPS),
        "What asks the worker to stop: SIGQUIT for php-fpm and unicorn, SIGWINCH for Apache's httpd. Who ends by it "
        "has not failed.",
        fills="signals.stop",
        feeds="KillSignal=",
    )
    reload = Setting(
        "reload",
        optional(scalar(lambda text: _signal(RELOADS, text))),
        "null",
        f"{' | '.join(RELOADS)} | null",
        "What the main process takes for the wish that it reads its configuration again: 'tqunits reload' and "
        "'systemctl reload' send it. null: it can not be reloaded. A program that does not know the signal ends by it, "
        "and so does a shell around one.",
        fills="signals.reload",
        feeds="ExecReload=",
    )
    watchdog = Setting(
        "watchdog",
        optional(scalar(parsers.at_least(100_000, values.span, values.print_span))),
        "null",
        "time span | null",
        "So often the program has to say WATCHDOG=1 (sd_notify(3); it finds the time in $WATCHDOG_USEC), or it counts "
        "as hung: it gets SIGABRT, and is started again as restart.policy says. With service_type: notify alone.",
        fills="signals.watchdog",
        feeds="WatchdogSec=",
    )
