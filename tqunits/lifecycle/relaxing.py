"""The line to write: the whole new value of `sandbox`, with one relaxation more than the worker
has."""

from __future__ import annotations

from tqunits.lifecycle.facts import Facts
from tqunits.model import Profile, Relaxation, Sandbox

_PARTS_OF_JIT = frozenset({Relaxation.WRITE_EXECUTE, Relaxation.NETLINK})


def with_one_more(sandbox: Sandbox, relaxation: Relaxation) -> Sandbox:
    """The same profile and relaxations, and that one: of standard and a compiler's memory the
    profile is jit."""
    relaxations = tuple(dict.fromkeys((*sandbox.relaxations, relaxation)))
    if sandbox.profile is Profile.STANDARD and relaxation is Relaxation.WRITE_EXECUTE:
        return Sandbox(
            profile=Profile.JIT, relaxations=tuple(each for each in relaxations if each not in _PARTS_OF_JIT)
        )
    return Sandbox(profile=sandbox.profile, relaxations=relaxations)


def written(sandbox: Sandbox) -> str:
    """As it is written in a worker.yaml."""
    if not sandbox.relaxations:
        return f"sandbox: {sandbox.profile.value}"
    names = ", ".join(relaxation.value for relaxation in sandbox.relaxations)
    return f"sandbox: {{profile: {sandbox.profile.value}, relax: [{names}]}}"


def line(facts: Facts, relaxation: Relaxation) -> str:
    """What to write so that the worker has it."""
    if facts.sandbox is None:  # installed by hand, or by a release that did not note it
        return f"{relaxation.value} in `sandbox`"
    return f"`{written(with_one_more(facts.sandbox, relaxation))}`"


def advice(facts: Facts, relaxation: Relaxation) -> tuple[str, ...]:
    """What to do so that the worker has it; of a worker that is not root's, what root has to do
    before."""
    write = f"write {line(facts, relaxation)} in its worker.yaml, then 'tqunits install --now {facts.name}'"
    return (write, *grant(facts, relaxation))


def grant(facts: Facts, relaxation: Relaxation) -> tuple[str, ...]:
    """The grant that it needs before."""
    sandbox = facts.sandbox
    if sandbox is None:
        return ()
    more = with_one_more(sandbox, relaxation)
    words = [word.value for word in (more.profile, *more.relaxations) if word in facts.by_grant]
    if relaxation not in facts.by_grant:
        return ()
    block = f"grants: {{{facts.name}: {{sandbox: [{', '.join(words)}]}}}}"
    return (f"it is not root's, so that needs a grant in tqunits.yaml, where it has none yet: `{block}`",)
