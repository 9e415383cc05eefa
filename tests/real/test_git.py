"""git over HTTP through the router: a push and a clone of 40 MB that do not compress."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from real_programs import APPS, Figure, Program, endpoints, routed_to, run, url

MIB = 1 << 20
FILES = 40
IDENTITY = {
    "GIT_AUTHOR_NAME": "Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.org",
    "GIT_COMMITTER_NAME": "Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.org",
}
FRAMINGS = {"chunked": "1048576", "length": str(64 * MIB)}
"""http.postBuffer: git sends a larger push in chunks, and a smaller one with a length."""


async def git(folder: Path, *words: str | Path, **more: str) -> str:
    """Run git without compression: the files do not compress, and to find that out takes time."""
    variables = {
        **IDENTITY,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_TRACE_CURL_NO_DATA": "1",
    } | more
    return await run(folder, "git", "-c", "core.compression=0", *words, variables=variables, patience=120)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("listens", ["tcp", "unix"])
async def test_a_push_and_a_clone_of_forty_megabytes(folder: Path, listens: str, framing: str, figure: Figure) -> None:
    here, there, again = folder / "here", folder / "served/there.git", folder / "again"
    await git(folder, "init", "-q", "-b", "main", here)
    for number in range(FILES):
        (here / f"{number}.bin").write_bytes(os.urandom(MIB))
    await git(folder, "-C", here, "add", ".")
    await git(folder, "-C", here, "commit", "-q", "-m", "forty")
    await git(folder, "init", "-q", "-b", "main", "--bare", there)
    await git(folder, "-C", there, "config", "http.receivepack", "true")
    endpoint = endpoints(folder)[listens]
    served: list[str | Path] = [
        "gunicorn",
        "--worker-class=gthread",
        "--threads=4",
        "--bind",
        endpoint,
        "--pythonpath",
        APPS,
    ]
    backend = Program(folder, *served, "git_app", variables={"GIT_PROJECT_ROOT": str(folder / "served")})
    async with backend, routed_to(folder, endpoint) as router:
        remote = url(router, "/there.git")
        buffer = f"http.postBuffer={FRAMINGS[framing]}"
        pushed = await git(folder, "-C", here, "-c", buffer, "push", "-q", remote, "main", GIT_TRACE_CURL="1")
        assert ("Send header: Transfer-Encoding: chunked" in pushed) == (framing == "chunked")
        await git(folder, "clone", "-q", remote, again)
        fetched = await git(folder, "-C", again, "rev-parse", "HEAD^{tree}")
    assert fetched == await git(folder, "-C", here, "rev-parse", "HEAD^{tree}")
    assert all((again / f"{n}.bin").read_bytes() == (here / f"{n}.bin").read_bytes() for n in range(FILES))
    await git(folder, "-C", again, "fsck", "--strict")
    figure(f"git over {listens}, push {framing}: {FILES} MiB there and back, the trees are alike")
