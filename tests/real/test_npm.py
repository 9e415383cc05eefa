"""npm installs scoped packages through the router: their names arrive as /@scope%2fname."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from control_peers import write_routes
from peers import Router
from real_programs import APPS, Figure, Program, endpoints, run, url

PACKAGES = {"outer": {"@scope/inner": "^1.0.0"}, "inner": {}}
"""The packages' names below @scope, and their dependencies."""


async def pack(folder: Path, registry: Path, name: str, dependencies: dict[str, str]) -> None:
    source = folder / "sources" / name
    source.mkdir(parents=True)
    manifest = {"name": f"@scope/{name}", "version": "1.0.0", "main": "index.js", "dependencies": dependencies}
    (source / "package.json").write_text(json.dumps(manifest))
    calls = " + ".join(["''", *(f"require('{other}')" for other in dependencies)])
    (source / "index.js").write_text(f"module.exports = '{name} ' + {calls};\n")
    await run(folder, "npm", "pack", "--silent", f"--pack-destination={registry}", source)
    (registry / f"scope-{name}-1.0.0.tgz").rename(registry / f"{name}.tgz")
    (registry / f"{name}.json").write_text(json.dumps(manifest))


def configuration(folder: Path, router: Router) -> dict[str, str]:
    """npm's settings as variables, so that it writes nothing outside the folder."""
    words = {
        "registry": url(router),
        "cache": str(folder / "cache"),
        "userconfig": str(folder / "npmrc"),
        "globalconfig": str(folder / "global-npmrc"),
        "update_notifier": "false",
        "audit": "false",
        "fund": "false",
        "fetch_retries": "0",
    }
    return {f"npm_config_{name}": value for name, value in words.items()}


@pytest.mark.parametrize("listens", ["tcp", "unix"])
async def test_npm_installs_scoped_packages(folder: Path, listens: str, figure: Figure) -> None:
    registry, project = folder / "registry", folder / "project"
    registry.mkdir()
    project.mkdir()
    for name, dependencies in PACKAGES.items():
        await pack(folder, registry, name, dependencies)
    endpoint = endpoints(folder)[listens]
    write_routes(folder, endpoint, encoded_slash=True)
    serving = Program(folder, "node", APPS / "registry.js", endpoint, variables={"REGISTRY_FOLDER": str(registry)})
    async with serving, Router(folder, ["--listen=127.0.0.1:0", f"--routes={folder}/routes.json"]) as router:
        variables = configuration(folder, router)
        await run(folder, "npm", "install", "@scope/outer", variables=variables, directory=project)
        said = await run(folder, "node", "-p", "require('@scope/outer')", directory=project)
        assert said == "outer inner \n"
        assert "%2f" in serving.said().lower()
    figure(f"npm install of scoped packages, registry on {listens}: 2 packages installed")
