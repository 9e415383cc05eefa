"""Names of files that appear beside sources, and that nobody has edited: by them alone no worker
gets a new release.

What is gone again a moment later needs no line here (the temporary files of sed -i, rsync, unzip,
tar, Sublime, Kate, sometimes vim): only what lies there when a worker's folder is looked at counts.
Their names can not be told from those of sources either: rsync puts a dot before the name, and a
dot and six letters behind it, which looks like `.eslintrc.config`.

Each line can be taken back in `watch.ignore`, as `!venv/`.
"""

from __future__ import annotations

from typing import Final

_DATABASES: Final = ("*.sqlite", "*.sqlite3", "*.db")

NO_EDITS: Final = (
    # What editors leave: vim's probe and swap files, backups, Emacs' locks and automatic saves, the
    # two steps of JetBrains' save, Kate's swap files, GIO's temporary files (gedit), LibreOffice's
    # locks.
    *("4913", ".*.sw[pxon]", ".*.swpx", "*~", ".#*", r"\#*#", "*___jb_tmp___", "*___jb_old___"),
    *(".*.kate-swp", ".goutputstream-*", ".~lock.*#", "*.tmp"),
    # What development environments remember: JetBrains writes .idea/workspace.xml all the time.
    *(".idea/", ".vscode/", ".vs/", ".fleet/", ".DS_Store"),
    # Repositories. In a worktree .git is a file.
    *(".git", ".hg/", ".svn/", ".jj/"),
    # What the interpreter or a package manager makes. What they make it from is a source, such as
    # package-lock.json.
    *("__pycache__/", "*.py[co]", "*.egg-info/", "node_modules/", ".venv/", "venv/", ".tox/", ".nox/"),
    # Caches of tools.
    *(".cache/", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".hypothesis/", ".parcel-cache/", ".turbo/"),
    *(".sass-cache/", ".eslintcache", ".nyc_output/"),
    # What programs write: logs, also rotated ones, process IDs, databases of SQLite with the files
    # beside them.
    *("*.log", "*.log.[0-9]*", "*.pid", "nohup.out"),
    *(f"{database}{end}" for database in _DATABASES for end in ("", "-wal", "-shm", "-journal")),
)
