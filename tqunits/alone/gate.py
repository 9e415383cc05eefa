"""The readiness gate: ExecStartPost= of every worker that does not send READY=1 itself
(systemd.service(5)).

    /usr/bin/python3 -I -S gate.py --port 9000 | --socket PATH
        [--type http] [--path /health] [--host-field NAME] [--status 200,204,300-399]
        [--type tcp] [--type command --run WORD [--run WORD]...]
        [--probe-timeout SECONDS] [--budget SECONDS] [--pid $MAINPID]
        [--serving FILE --routers DIR --name NAME]

The unit stays "activating" until this program ends. Exit status 0: the worker is healthy (it
answered with one of the statuses, accepted a connection, or the command exited with 0), and the
file `serving` was made, which makes the routers send requests. The other exit statuses are the
verdict (verdicts.py).

It runs as the worker's user inside its sandbox, once per start, so the interpreter's start is most
of its cost: only built-in modules are imported (argparse, pathlib, typing and socket would double
it). When the main process dies, systemd would go on waiting for ExecStartPost=; a pidfd ends the
gate at once. The budget begins with the start of this process, as systemd's timeout does: on a busy
host making the sandbox takes a good part of it. systemd's timeout is longer; if it ends
nevertheless, the gate still prints its verdict.

While nothing listens, an attempt leaves no trace in the worker, so attempts come often. Each answer
is a line in the worker's log, so after a bad one the pauses grow.
"""

from __future__ import annotations

import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal

    from tqunits.alone import join, probe, question, verdicts
    from tqunits.alone.probe import Exited, NotHealthy
else:  # with -I (isolated), Python does not look for modules beside the program
    import _signal as signal  # the built-in part: the rest loads enum

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs more
    import join
    import probe
    import question
    import verdicts
    from probe import Exited, NotHealthy

_FIRST_PAUSE = 0.001  # a compiled worker listens within a few milliseconds
_SHARE = 0.05  # of the time so far: after two seconds there is an attempt every tenth of a second
_LONGEST_PAUSE = 0.25
_FIRST_PAUSE_OF_ANSWERS = 0.05
_LONGEST_PAUSE_OF_ANSWERS = 1.0
_GROWTH = 1.5
_FIRST_CHANCE = 2.0  # for the first attempt, even if a busy host used up the budget before it
_LAST_CHANCE = 0.05  # before the end of the budget, for the last attempt
_LONGEST_AGE = 10.0  # seconds; a clock namespace or a suspended host could give any number
_WELL = "well"


class Terminated(Exception):
    """SIGTERM: systemd's timeout is over, or somebody stops the unit."""


class ProbeRecord:
    """The outcomes of all probes: how many of each kind, and the last one that was an answer."""

    __slots__ = ("answer", "begin", "tally", "verdict")

    def __init__(self, begin: float) -> None:
        self.begin = begin
        self.tally: dict[str, int] = {}
        self.answer = ""
        self.verdict = verdicts.SILENT

    def add(self, failure: NotHealthy, *, cut_short: bool) -> None:
        """`cut_short`: we have ended the probe, so it does not replace an earlier answer of the
        worker."""
        self.count(failure.kind)
        if not self.answer or not cut_short:
            self.answer, self.verdict = failure.answer, failure.verdict

    def count(self, kind: str) -> None:
        """Count one more of this kind."""
        self.tally[kind] = self.tally.get(kind, 0) + 1

    def __str__(self) -> str:
        attempts = sum(self.tally.values())
        kinds = ", ".join(f"{kind} {count}" for kind, count in self.tally.items() if kind != _WELL)
        detail = f" ({kinds})" if kinds else ""
        return f"{time.monotonic() - self.begin:.2f} s, {attempts} attempt{'' if attempts == 1 else 's'}{detail}"


def main(arguments: list[str]) -> int:
    """Wait until the worker is healthy; returns the exit status."""
    record = ProbeRecord(_begin())
    try:
        options = question.parse(arguments)
    except question.UsageProblem as problem:
        return _fail(verdicts.USAGE, f"usage: {problem}")
    try:
        is_healthy = _heard(options, record)
    except Exited:
        return _fail(verdicts.EXITED, f"{options.url} not healthy: the worker's process exited after {record}")
    except Terminated:
        _fail(record.verdict, f"{options.url} not healthy, and told to end, after {record}; {_last(record)}")
        os.kill(os.getpid(), signal.SIGTERM)
        return record.verdict  # not reached: the signal has ended this process
    if not is_healthy:
        return _give_up(options, record)
    try:
        if options.serving:
            join.join(options.serving, options.routers, options.name)
    except OSError as error:
        text = f"{options.serving} can not be made: {error.strerror}; no request comes without it"
        return _fail(verdicts.UNPLACED, text)
    _say("6", f"{options.url} healthy after {record}")
    return verdicts.READY


def _heard(options: question.ProbeOptions, record: ProbeRecord) -> bool:
    """Wait, and notice a signal that ends this process. Raises Exited, Terminated."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _wait(options, record)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated


def _give_up(options: question.ProbeOptions, record: ProbeRecord) -> int:
    """Print the verdict. If nothing listens at the worker's address, it may listen at another one,
    which explains the failure."""
    others = _elsewhere(options.pid) if record.verdict == verdicts.SILENT and options.pid else ()
    verdict = verdicts.ELSEWHERE if others else record.verdict
    elsewhere = f"; it listens on {', '.join(others)} instead" if others else ""
    return _fail(verdict, f"{options.url} not healthy after {record}{elsewhere}; {_last(record)}")


def _elsewhere(pid: int) -> tuple[str, ...]:
    if TYPE_CHECKING:
        from tqunits.alone import listening
    else:
        import listening  # only here, so that a healthy worker's start does not pay for it

    return listening.addresses(pid)


def _last(record: ProbeRecord) -> str:
    return f"last answer: {record.answer or 'none'}"


def _fail(status: int, verdict: str) -> int:
    _say("3", verdict)
    return status


def _begin() -> float:
    """When this process was started, on the monotonic clock (proc_pid_stat(5): starttime, in ticks
    since boot)."""
    now = time.monotonic()
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - pathlib costs more
            ticks = int(file.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return now
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return now - min(max(age, 0.0), _LONGEST_AGE)


def _wait(options: question.ProbeOptions, record: ProbeRecord) -> bool:
    """Probe until the worker is healthy or the budget is spent. Raises Exited, Terminated."""
    process = _watch(options.pid)
    deadline = record.begin + options.budget
    answers = _FIRST_PAUSE_OF_ANSWERS
    while True:
        now = time.monotonic()
        until = max(deadline, now + _FIRST_CHANCE) if not record.tally else deadline
        try:
            probe.ask(options, process, min(until, now + options.probe_timeout))
        except NotHealthy as failure:
            after = time.monotonic()
            record.add(failure, cut_short=now + options.probe_timeout > until <= after)
            left = deadline - after
            if left <= _LAST_CHANCE:
                return False
            if failure.verdict == verdicts.SILENT:
                pause = min(max(_SHARE * (after - record.begin), _FIRST_PAUSE), _LONGEST_PAUSE)
            else:
                pause, answers = answers, min(answers * _GROWTH, _LONGEST_PAUSE_OF_ANSWERS)
        else:
            record.count(_WELL)
            return True
        _sleep_watching(process, min(pause, left - _LAST_CHANCE))


def _watch(pid: int | None) -> int:
    """A pidfd that becomes readable when the process ends, or -1 when there is none. Raises
    Exited."""
    if pid is None:
        return -1
    if pid <= 0:
        raise Exited
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise Exited from None
    except OSError:  # an old kernel or a seccomp filter: the budget still ends the wait
        return -1


def _sleep_watching(process: int, seconds: float) -> None:
    poll = select.poll()
    if process >= 0:
        poll.register(process, select.POLLIN)
    if poll.poll(seconds * 1000):
        raise Exited


def _say(priority: str, text: str) -> None:
    """Print one line on stderr. The journal takes the priority from a prefix (sd-daemon(3)); a
    terminal would show the prefix."""
    prefix = f"<{priority}>" if "JOURNAL_STREAM" in os.environ else ""
    sys.stderr.write(f"{prefix}tqunits-gate: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
