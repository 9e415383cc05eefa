"""The command line: global options, the table of verbs, and the one place where errors become exit
statuses.

`tqunits --help` answers from the table alone; a verb's own module is imported only when that verb
runs. That keeps the cold start near the interpreter's own, and keeps D-Bus, jinja2 and YAML out of
the router's process.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, NoReturn

from tqunits import __version__
from tqunits.cli.context import Context
from tqunits.cli.output import Output, error_json, standard_output
from tqunits.errors import ConfigurationError, ExitStatus, NotPermitted, TqunitsError, UsageError
from tqunits.late_pattern import late_pattern
from tqunits.light_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: `tqunits.cli.verbs.NAME` has `configure(parser)` and
    `run(arguments, context) -> ExitStatus`."""

    name: str
    help: str


class Group(NamedTuple):
    """Verbs that belong together, and the manual page that explains them."""

    title: str
    page: str  # NAME(SECTION)
    verbs: tuple[Verb, ...]


VERBS: tuple[Group, ...] = (
    Group(
        "Configuration",
        "tqunits-init(1)",
        (
            Verb("init", "write a commented worker.yaml to start from"),
            Verb("check", "check every YAML file and say what is wrong, and where"),
            Verb("docs", "explain the settings of worker.yaml and tqunits.yaml"),
            Verb("security", "show the exposure of each worker's sandbox"),
        ),
    ),
    Group(
        "Installation",
        "tqunits-install(1)",
        (
            Verb("install", "write, enable and (--now) start the units of all workers"),
            Verb("apply", "make the host equal to the configuration: install, restart, remove"),
            Verb("uninstall", "stop and remove the units of workers"),
            Verb("diff", "show what install would change (0 same, 2 differs)"),
            Verb("render", "print the unit files that install would write"),
        ),
    ),
    Group(
        "State",
        "tqunits-ls(1)",
        (
            Verb("ls", "list the workers: state, route, CPU, memory"),
            Verb("show", "show one worker: its settings and where they come from, its exits"),
            Verb("why", "say why a worker is down, or that it is well"),
            Verb("logs", "show the journal of workers"),
            Verb("events", "show what has happened to the workers, and why"),
            Verb("doctor", "check what this host offers and what is wrong on it"),
        ),
    ),
    Group(
        "Operation",
        "tqunits-start(1)",
        (
            Verb("start", "start workers and wait until they are healthy"),
            Verb("stop", "stop workers"),
            Verb("restart", "restart workers and wait until they are healthy"),
            Verb("reload", "have workers read their configuration again"),
            Verb("scale", "say how many instances workers have, or list it"),
            Verb("enable", "start workers at boot"),
            Verb("disable", "do not start workers at boot"),
            Verb("repair", "serve again what runs and has lost its files in /run"),
        ),
    ),
    Group(
        "Releases",
        "tqunits-deploy(1)",
        (
            Verb("deploy", "release what has changed, and let workers run it"),
            Verb("rollback", "let a worker run an earlier release again"),
            Verb("history", "show deploys: what, when, by whom, and how they ended"),
            Verb("build", "make a release, and let it wait for its deploy"),
            Verb("prune", "remove releases that are more than are to be kept"),
        ),
    ),
    Group(
        "Traffic",
        "tqunits-pause(1)",
        (
            Verb("pause", "let new requests for workers wait in the routers"),
            Verb("drain", "take running workers out of service, and wait for what runs"),
            Verb("maintenance", "answer all requests for workers with a page (on, off)"),
            Verb("resume", "send workers requests again"),
        ),
    ),
    Group("Router", "tqunits-proxy(8)", (Verb("proxy", "run the router"),)),
    Group(
        "Manager",
        "tqunits-manager(8)",
        (
            Verb("manager", "run the manager"),
            Verb("harvest", "make a release, as the manager has asked for it"),
        ),
    ),
    Group(
        "Other",
        "tqunits(1)",
        (
            Verb("completion", "print a completion script for your shell"),
            Verb("version", "print the version"),
        ),
    ),
)

_OTHER_WORDS = {
    "status": "ls' or 'tqunits why NAME",
    "list": "ls",
    "ps": "ls",
    "sl": "ls",
    "info": "show",
    "explain": "why",
    "diagnose": "why",
    "log": "logs",
    "journal": "logs",
    "up": "install --now",
    "release": "deploy",
    "undo": "rollback",
    "releases": "history",
    "down": "stop --all",
    "remove": "uninstall",
    "rm": "uninstall",
    "delete": "uninstall",
    "new": "init",
    "create": "init",
    "lint": "check",
    "validate": "check",
    "verify": "check",
    "plan": "diff",
    "router": "proxy",
    "serve": "proxy",
    "man": "help",
}
"""Words of other tools. A comparison of letters would suggest `start` for `status`."""

_HELP = "help"
"""`help VERB` is `VERB --help`, as with git and systemctl's kin."""

_BEFORE_THE_VERB = {"-C": "-C DIR", "--trust": "-C DIR --trust", "--user": "--user"}

_EPILOG = """\
Exit status: 0 ok, 1 failed, 2 usage error or differs, 3 not running,
4 no such worker, 5 not permitted, 6 timeout or unhealthy.

'tqunits help VERB' explains a verb, and so does 'man tqunits-VERB'.
tqunits-worker.yaml(5) has the settings of a worker, tqunits.yaml(5) those of
the host, tqunits-contract(7) what a program must do to be a worker.

To begin: 'sudo tqunits init NAME --type python', 'sudo tqunits install --now'."""


_OBJECTS = 50_000
"""Between two collections of garbage. At Python's own 700 a command that reads 300 workers spends 5
% on them."""

_NEGATIVE = late_pattern(r"-\d")
"""How a time before now begins (systemd.time(7)); no option of ours does."""


class _Parser(argparse.ArgumentParser):
    """argparse, whose errors become our errors."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=_usage_hint(self.prog, message))


def process() -> int:
    """The entry point of the command `tqunits`, with settings for the whole process."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `tqunits ls | head` ends quietly, as systemctl does
    gc.set_threshold(_OBJECTS)
    status = main(sys.argv[1:])
    gc.freeze()  # what goes with the process needs no collecting: a tenth of a short command's time
    return status


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status. Never raises."""
    output = standard_output()
    try:
        status = _dispatch(list(arguments), output)
        sys.stdout.flush()  # a full disk is an error, not an exception at exit
        return status
    except ConfigurationError as error:
        output.diagnostics(error.diagnostics)
        return _fail(output, error)
    except TqunitsError as error:
        return _fail(output, error)
    except KeyboardInterrupt:
        goes_on = "interrupted; what systemd was asked to do goes on, and the next run does the rest"
        return _fail(output, TqunitsError(goes_on), style="", status=128 + signal.SIGINT)
    except PermissionError as error:
        return _fail(output, NotPermitted(_os_error(error), hint="run it with sudo, or with --user"))
    except OSError as error:
        return _fail(output, TqunitsError(_os_error(error)))
    finally:
        _leave_stdout()


def usage() -> str:
    """The text of `tqunits --help`."""
    lines = ["usage: tqunits [-C DIR [--trust]] [--user] VERB ...", ""]
    lines += ["Run many web workers as hardened systemd units behind one router.", ""]
    for group in VERBS:
        lines.append(f"{group.title}, {group.page}:")
        lines += [f"  {verb.name:<12}{verb.help}" for verb in group.verbs]
        lines.append("")
    lines += [
        "Options:",
        "  -C DIR      use DIR/config/tqunits.yaml and DIR/workers, not the host's",
        "  --trust     with -C: take DIR as root's, though others may change it",
        "  --user      your own service manager, as systemctl --user",
        "  -h, --help  this text; --version prints the version",
        "",
        _EPILOG,
    ]
    return "\n".join(lines) + "\n"


def _dispatch(arguments: list[str], output: Output) -> int:
    parser = _Parser(prog="tqunits", add_help=False)
    parser.add_argument("-C", dest="root", metavar="DIR")
    parser.add_argument("--trust", action="store_true")
    parser.add_argument("--user", action="store_true")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("verb", nargs="?")
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if options.help or (options.verb == _HELP and not options.rest):
        output.raw(usage())
        return ExitStatus.OK
    if options.version:
        output.line(f"tqunits {__version__}")
        return ExitStatus.OK
    if options.verb is None:
        output.raw(usage())
        return ExitStatus.USAGE
    if options.trust and options.root is None:
        raise UsageError("--trust is about -C DIR", hint="for the host's own workers there is `grants` in tqunits.yaml")
    context = Context(root=_root(options.root), user_mode=options.user, output=output, trust=options.trust)
    if options.verb == _HELP:
        return _run(options.rest[0], ["--help"], context)
    return _run(options.verb, options.rest, context)


def _run(name: str, arguments: list[str], context: Context) -> int:
    group = next((group for group in VERBS if name in {verb.name for verb in group.verbs}), None)
    if group is None:
        raise UsageError(f"no verb {name!r}", hint=_nearest(name))
    module = import_module(f"tqunits.cli.verbs.{name}")
    parser = _Parser(
        prog=f"tqunits {name}",
        description=module.__doc__,
        epilog=f"The manual page is {group.page}.",
        formatter_class=_formatter(),
    )
    module.configure(parser)
    parsed = parser.parse_args(_with_negative_values(arguments))
    context.output.owes_document = getattr(parsed, "json", False)
    return int(module.run(parsed, context))


def _with_negative_values(arguments: Sequence[str]) -> list[str]:
    """`--since -1h` as `--since=-1h`: argparse takes what begins with a hyphen for an option."""
    joined: list[str] = []
    for argument in arguments:
        before = joined[-1] if joined else ""
        if _NEGATIVE.match(argument) and before.startswith("--") and len(before) > 2 and "=" not in before:
            joined[-1] = f"{before}={argument}"
        else:
            joined.append(argument)
    return joined


def _formatter() -> type[argparse.HelpFormatter]:
    """A module's docstring is its help text: keep its lines as they stand."""
    return argparse.RawDescriptionHelpFormatter


def _usage_hint(program: str, message: str) -> str:
    """A hint with the right spelling; most often a global option stands after the verb."""
    late = next((option for option in _BEFORE_THE_VERB if option in message.split()), None)
    if late and "unrecognized" in message and program != "tqunits":
        verb = program.rpartition(" ")[2]
        return f"write it before the verb: tqunits {_BEFORE_THE_VERB[late]} {verb} ..."
    return f"see '{program} --help'"


def _nearest(name: str) -> str:
    if name in _OTHER_WORDS:
        return f"did you mean 'tqunits {_OTHER_WORDS[name]}'?"
    from difflib import get_close_matches  # costs 8 ms: only when somebody mistyped

    near = get_close_matches(name, [verb.name for group in VERBS for verb in group.verbs], n=1)
    return f"did you mean {near[0]!r}?" if near else "see 'tqunits --help'"


def _root(text: str | None) -> Path | None:
    if text is None:
        return None
    root = Path(text)
    if not root.is_dir():
        raise UsageError(f"-C {text}: no such folder", hint="give a folder with config/tqunits.yaml and workers/")
    return root.resolve()


def _fail(output: Output, error: TqunitsError, *, style: str = "red", status: int | None = None) -> int:
    status = error.exit_status if status is None else status
    place = f"{error.mark}: " if error.mark else ""
    output.message(f"tqunits: {place}{error.message}", style=style)
    if error.hint:
        output.message(f"    hint: {error.hint}")
    if output.owes_document:
        with suppress(OSError):
            output.json("error", 1, **error_json(error, status))
    return status


def _leave_stdout() -> None:
    """Write the rest of the output. If that fails, it is dropped, because the interpreter would try
    again at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _os_error(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
