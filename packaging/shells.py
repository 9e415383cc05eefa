"""Writes the completion scripts, which `tqunits completion` prints and packages install.

    PYTHONPATH=. python packaging/shells.py packaging/completions

tests/cli/test_completion.py holds the shipped scripts against this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from commands import GLOBAL, Command, Kind, Option, Value, typeable

from tqunits.cli.verbs.completion import FILES

# --- bash -----------------------------------------------------------------------------------------

_BASH_HEAD = """\
# bash completion for tqunits(1); written by packaging/shells.py, do not edit.

# Offers the words that begin with what has been typed; nothing is expanded, whatever a folder may be called.
_tqunits_offer() {
    local word
    for word in "$@"; do
        [[ $word == "$typed"* ]] && COMPREPLY+=("$word")
    done
}

_tqunits_workers() {
    local path name
    local -a found=()
    if [[ -n $root ]]; then
        for path in "$root"/workers/*/config/worker.yaml; do
            name=${path%/config/worker.yaml}
            found+=("${name##*/}")
        done
    else
        local units=/etc/systemd/system
        [[ -n $user ]] && units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
        for path in "$units"/tq-worker@*.service.d; do
            name=${path##*/tq-worker@}
            found+=("${name%.service.d}")
        done
    fi
    for name in "${found[@]}"; do
        [[ $name =~ ^[a-z][a-z0-9_-]*$ ]] && _tqunits_offer "$name"
    done
}

_tqunits_value() {
    case $1 in
        worker) _tqunits_workers ;;
        file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$typed") ;;
        folder) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$typed") ;;
    esac
}

_tqunits() {
    local typed=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb='' root='' user='' i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -C) root=${COMP_WORDS[++i]} ;;
            --user) user=yes ;;
            -*) ;;
            *) verb=${COMP_WORDS[i]}; break ;;
        esac
    done
    case $verb,$before in
        ,-C) _tqunits_value folder; return ;;
"""

_BASH_MIDDLE = """\
    esac
    if [[ $typed == -* ]]; then
        case $verb in
"""


def bash(table: tuple[Command, ...]) -> str:
    """The script for bash 4.4 and later."""
    lines = [_BASH_HEAD.rstrip("\n")]
    for command in table:
        for option in command.options:
            if option.value:
                places = "|".join(f"{command.name},{flag}" for flag in option.flags)
                offered = _bash_value(option.value)
                lines.append(f"        {places}) {offered}{'; ' if offered else ''}return ;;")
    lines.append(_BASH_MIDDLE.rstrip("\n"))
    lines.append(f"            '') _tqunits_offer {' '.join(_flags(GLOBAL))} ;;")
    lines += [f"            {c.name}) _tqunits_offer {' '.join(_flags(c.options))} ;;" for c in table]
    lines += ["        esac", "        return", "    fi", "    case $verb in"]
    lines.append(f"        '') _tqunits_offer {' '.join(c.name for c in table)} ;;")
    lines += [f"        {c.name}) {'; '.join(map(_bash_value, c.values))} ;;" for c in table if c.values]
    lines += ["    esac", "}", "", "complete -F _tqunits tqunits"]
    return "\n".join(lines) + "\n"


def _bash_value(value: Value) -> str:
    if value.choices:
        return f"_tqunits_offer {' '.join(value.choices)}"
    return "" if value.kind is Kind.NOTHING else f"_tqunits_value {value.kind}"


def _flags(options: tuple[Option, ...]) -> Iterator[str]:
    return (flag for option in options for flag in option.flags)


# --- zsh ------------------------------------------------------------------------------------------

_ZSH_HEAD = """\
#compdef tqunits
# zsh completion for tqunits(1); written by packaging/shells.py, do not edit.

_tqunits_workers() {
    local -a found
    if [[ -n $root ]]; then
        found=($root/workers/*/config/worker.yaml(N:h:h:t))
    else
        local units=/etc/systemd/system
        (( user )) && units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user
        found=($units/tq-worker@*.service.d(N:t))
        found=(${${found#tq-worker@}%.service.d})
    fi
    found=(${(M)found:#[a-z][a-z0-9_-]#})
    compadd "$@" -a found
}

_tqunits() {
    setopt local_options extended_glob
    local context state state_descr line root user
    typeset -A opt_args
"""


def zsh(table: tuple[Command, ...]) -> str:
    """The script for zsh 5."""
    lines = [_ZSH_HEAD.rstrip("\n")]
    specs = [*(_zsh_option(option) for option in GLOBAL), "'1: :->verb'", "'*:: :->rest'"]
    lines.append("    _arguments -C " + " ".join(specs) + " && return")
    lines += ["    case $state in", "        verb)", "            local -a verbs=("]
    lines += [f"                {_quoted(f'{c.name}:{c.help}')}" for c in table]
    lines += ["            )", "            _describe verb verbs ;;", "        rest)"]
    lines += ["            root=${(Q)opt_args[-C]} user=${+opt_args[--user]}", "            case $words[1] in"]
    for command in table:
        parts = [_zsh_option(option) for option in command.options]
        parts += [_zsh_positional(number, value) for number, value in enumerate(command.values, 1)]
        lines.append(f"                {command.name}) _arguments {' '.join(parts)} ;;")
    lines += ["            esac ;;", "    esac", "}", "", '_tqunits "$@"']
    return "\n".join(lines) + "\n"


def _zsh_option(option: Option) -> str:
    text = "[" + _zsh_escaped(option.help) + "]" + (_zsh_value(option.value) if option.value else "")
    if len(option.flags) == 1:
        return option.flags[0] + _quoted(text)
    return f"'({' '.join(option.flags)})'{{{','.join(option.flags)}}}{_quoted(text)}"


def _zsh_positional(number: int, value: Value) -> str:
    return _quoted(("*" if value.many else str(number)) + _zsh_value(value))


def _zsh_value(value: Value) -> str:
    actions = {Kind.WORKER: "_tqunits_workers", Kind.FILE: "_files", Kind.FOLDER: "_files -/", Kind.NOTHING: " "}
    action = f"({' '.join(value.choices)})" if value.choices else actions[value.kind]
    return f":{value.name.lower()}:{action}"


def _zsh_escaped(text: str) -> str:
    """A description inside `[...]`: zshcompsys(1), _arguments."""
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


# --- fish -----------------------------------------------------------------------------------------

_FISH_HEAD = """\
# fish completion for tqunits(1); written by packaging/shells.py, do not edit.

# Whether the verb on the command line is the given one ("" for none yet).
function __tqunits_verb
    set -l words (commandline -opc)
    set -l i 2
    while test $i -le (count $words)
        switch $words[$i]
            case -C
                set i (math $i + 1)
            case '-*'
            case '*'
                test "$words[$i]" = "$argv[1]"
                return
        end
        set i (math $i + 1)
    end
    test -z "$argv[1]"
end

function __tqunits_workers
    set -l words (commandline -opc)
    set -l paths /etc/systemd/system/tq-worker@*.service.d
    if contains -- --user $words
        set -l configuration $XDG_CONFIG_HOME
        test -n "$configuration"; or set configuration $HOME/.config
        set paths $configuration/systemd/user/tq-worker@*.service.d
    end
    if set -l i (contains -i -- -C $words)
        set -l root $words[(math $i + 1)]
        set paths $root/workers/*/config/worker.yaml
        string replace -rf '.*/([a-z][a-z0-9_-]*)/config/worker\\.yaml$' '$1' -- $paths
    else
        string replace -rf '.*/tq-worker@([a-z][a-z0-9_-]*)\\.service\\.d$' '$1' -- $paths
    end
end

complete -c tqunits -f
"""


def fish(table: tuple[Command, ...]) -> str:
    """The script for fish 3."""
    lines = [_FISH_HEAD.rstrip("\n")]
    nowhere = "-n '__tqunits_verb \"\"'"
    lines += [f"complete -c tqunits {nowhere} {_fish_option(option)}" for option in GLOBAL]
    lines += [f"complete -c tqunits {nowhere} -a {c.name} -d {_quoted(c.help, fish=True)}" for c in table]
    for command in table:
        here = f"complete -c tqunits -n '__tqunits_verb {command.name}'"
        lines += [f"{here} {_fish_option(option)}" for option in command.options]
        lines += [f"{here} {offered}" for offered in map(_fish_value, command.values) if offered]
    return "\n".join(lines) + "\n"


def _fish_option(option: Option) -> str:
    flags = " ".join(f"-l {f[2:]}" if f.startswith("--") else f"-s {f[1:]}" for f in option.flags)
    value = f" -x {_fish_value(option.value)}".replace("-x -F", "-r -F").rstrip() if option.value else ""
    return f"{flags} -d {_quoted(option.help, fish=True)}{value}"


def _fish_value(value: Value) -> str:
    if value.choices:
        return f"-a '{' '.join(value.choices)}'"
    offered = {
        Kind.WORKER: "-a '(__tqunits_workers)'",
        Kind.FILE: "-F",
        Kind.FOLDER: "-a '(__fish_complete_directories)'",
    }
    return offered.get(value.kind, "")


def _quoted(text: str, *, fish: bool = False) -> str:
    """One word in single quotes; only fish knows an escape inside them."""
    return "'" + (text.replace("\\", "\\\\").replace("'", "\\'") if fish else text.replace("'", "'\\''")) + "'"


SCRIPTS: dict[str, Callable[[tuple[Command, ...]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}

if __name__ == "__main__":
    for shell, script in SCRIPTS.items():
        (Path(sys.argv[1]) / FILES[shell]).write_text(script(typeable()), encoding="utf-8")
