"""The line to write for one relaxation more: the whole new value of `sandbox`."""

from __future__ import annotations

from tqunits.lifecycle.facts import Facts
from tqunits.model import Profile, Relaxation, Sandbox

_PARTS_OF_JIT = frozenset({Relaxation.WRITE_EXECUTE, Relaxation.NETLINK})


def with_one_more(sandbox: Sandbox, relaxation: Relaxation) -> Sandbox:
    """The same sandbox with one relaxation more. `standard` with `write-execute` becomes the
    profile jit."""
    relaxations = tuple(dict.fromkeys((*sandbox.relaxations, relaxation)))
    if sandbox.profile is Profile.STANDARD and relaxation is Relaxation.WRITE_EXECUTE:
        return Sandbox(
            profile=Profile.JIT, relaxations=tuple(each for each in relaxations if each not in _PARTS_OF_JIT)
        )
    return Sandbox(profile=sandbox.profile, relaxations=relaxations)


def written(sandbox: Sandbox) -> str:
    """The sandbox as it is written in a worker.yaml."""
    if not sandbox.relaxations:
        return f"sandbox: {sandbox.profile.value}"
    names = ", ".join(relaxation.value for relaxation in sandbox.relaxations)
    return f"sandbox: {{profile: {sandbox.profile.value}, relax: [{names}]}}"


def line(facts: Facts, relaxation: Relaxation) -> str:
    """The line for the worker.yaml that gives the worker this relaxation."""
    if facts.sandbox is None:  # installed by hand, or by a release that did not record the sandbox
        return f"{relaxation.value} in `sandbox`"
    return f"`{written(with_one_more(facts.sandbox, relaxation))}`"


def advice(facts: Facts, relaxation: Relaxation) -> tuple[str, ...]:
    """What to do to give the worker this relaxation. If the worker is not root's, also what root
    has to do first."""
    write = f"write {line(facts, relaxation)} in its worker.yaml, then 'tqunits install --now {facts.name}'"
    return (write, *grant(facts, relaxation))


def grant(facts: Facts, relaxation: Relaxation) -> tuple[str, ...]:
    """The grant that is needed first, if any."""
    sandbox = facts.sandbox
    if sandbox is None:
        return ()
    more = with_one_more(sandbox, relaxation)
    words = [word.value for word in (more.profile, *more.relaxations) if word in facts.by_grant]
    if relaxation not in facts.by_grant:
        return ()
    block = f"grants: {{{facts.name}: {{sandbox: [{', '.join(words)}]}}}}"
    return (f"it is not root's, so that needs a grant in tqunits.yaml, where it has none yet: `{block}`",)
