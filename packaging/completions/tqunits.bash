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
        init,--type) _tqunits_offer go python node bun deno java ruby php static exec; return ;;
        security,--threshold) return ;;
        install,--timeout) return ;;
        apply,--timeout) return ;;
        uninstall,--timeout) return ;;
        render,--out) _tqunits_value folder; return ;;
        render,--systemd) return ;;
        logs,--request) return ;;
        logs,-n|logs,--lines) return ;;
        logs,--since) return ;;
        logs,--until) return ;;
        logs,-p|logs,--priority) return ;;
        logs,-g|logs,--grep) return ;;
        logs,-b|logs,--boot) return ;;
        logs,-o|logs,--output) return ;;
        start,--timeout) return ;;
        stop,--timeout) return ;;
        restart,--timeout) return ;;
        reload,--timeout) return ;;
        scale,--timeout) return ;;
        enable,--timeout) return ;;
        disable,--timeout) return ;;
        deploy,-m|deploy,--message) return ;;
        rollback,-m|rollback,--message) return ;;
        history,-n|history,--limit) return ;;
        build,-m|build,--message) return ;;
        drain,--timeout) return ;;
        maintenance,--text) return ;;
        proxy,--listen) return ;;
        proxy,--route) return ;;
        proxy,--queue-timeout) return ;;
        proxy,--routes) _tqunits_value file; return ;;
        proxy,--control) return ;;
        proxy,--serving) _tqunits_value folder; return ;;
        proxy,--leave) return ;;
        proxy,--traffic) _tqunits_value file; return ;;
        proxy,--unready) _tqunits_value file; return ;;
        proxy,--certificate) _tqunits_value file; return ;;
        proxy,--key) _tqunits_value file; return ;;
        proxy,--access-log) return ;;
        proxy,--journal-namespace) _tqunits_value worker; return ;;
        proxy,--access-log-sample) return ;;
        manager,--control) return ;;
        manager,--metrics) return ;;
        manager,--rolls) return ;;
        manager,--workers) _tqunits_value folder; return ;;
    esac
    if [[ $typed == -* ]]; then
        case $verb in
            '') _tqunits_offer -C --trust --user -h --help --version ;;
            init) _tqunits_offer -h --help --type --json ;;
            check) _tqunits_offer -h --help --strict --json ;;
            docs) _tqunits_offer -h --help --json --markdown ;;
            security) _tqunits_offer -h --help --json --threshold ;;
            install) _tqunits_offer -h --help --now --prune --unchanged --remove-all --replace --dry-run --json -q --quiet --timeout ;;
            apply) _tqunits_offer -h --help --note --unattended --remove-all --replace --dry-run --json -q --quiet --timeout ;;
            uninstall) _tqunits_offer -h --help --all --purge -y --yes --keep-ledger --dry-run --json -q --quiet --timeout ;;
            diff) _tqunits_offer -h --help --prune --json ;;
            render) _tqunits_offer -h --help --out --systemd --json ;;
            ls) _tqunits_offer -h --help -w --watch --json ;;
            show) _tqunits_offer -h --help --json ;;
            why) _tqunits_offer -h --help --json ;;
            logs) _tqunits_offer -h --help --access --router --request -f --follow -n --lines --since --until -p --priority -g --grep -b --boot -o --output --json ;;
            events) _tqunits_offer -h --help -f --follow --json ;;
            doctor) _tqunits_offer -h --help --json ;;
            start) _tqunits_offer -h --help --all --no-block --timeout --json ;;
            stop) _tqunits_offer -h --help --all --no-block --timeout --json ;;
            restart) _tqunits_offer -h --help --all --at-once --no-block --timeout --json ;;
            reload) _tqunits_offer -h --help --all --no-block --timeout --json ;;
            scale) _tqunits_offer -h --help --dry-run --json -q --quiet --timeout ;;
            enable) _tqunits_offer -h --help --all --now --no-block --timeout --json ;;
            disable) _tqunits_offer -h --help --all --now --no-block --timeout --json ;;
            repair) _tqunits_offer -h --help -n --dry-run --json ;;
            deploy) _tqunits_offer -h --help -m --message --detach --json ;;
            rollback) _tqunits_offer -h --help -m --message --detach --json ;;
            history) _tqunits_offer -h --help -n --limit --json ;;
            build) _tqunits_offer -h --help -m --message --detach --json ;;
            prune) _tqunits_offer -h --help --caches --json ;;
            pause) _tqunits_offer -h --help --all --json ;;
            drain) _tqunits_offer -h --help --all --json --timeout ;;
            maintenance) _tqunits_offer -h --help --all --json --text ;;
            resume) _tqunits_offer -h --help --all --json ;;
            proxy) _tqunits_offer -h --help --listen --route --keep-prefix --queue-timeout --routes --control --serving --leave --traffic --unready --repair --certificate --key --check --access-log --journal-namespace --access-log-sample ;;
            manager) _tqunits_offer -h --help --control --metrics --rolls --workers --new --configuration ;;
            harvest) _tqunits_offer -h --help ;;
            completion) _tqunits_offer -h --help ;;
            version) _tqunits_offer -h --help --running --json ;;
            help) _tqunits_offer  ;;
        esac
        return
    fi
    case $verb in
        '') _tqunits_offer init check docs security install apply uninstall diff render ls show why logs events doctor start stop restart reload scale enable disable repair deploy rollback history build prune pause drain maintenance resume proxy manager harvest completion version help ;;
        init)  ;;
        check) _tqunits_value worker ;;
        docs)  ;;
        security) _tqunits_value worker ;;
        install) _tqunits_value worker ;;
        apply) _tqunits_value worker ;;
        uninstall) _tqunits_value worker ;;
        render) _tqunits_value worker ;;
        ls) _tqunits_value worker ;;
        show) _tqunits_value worker ;;
        why) _tqunits_value worker ;;
        logs) _tqunits_value worker ;;
        events) _tqunits_value worker ;;
        start) _tqunits_value worker ;;
        stop) _tqunits_value worker ;;
        restart) _tqunits_value worker ;;
        reload) _tqunits_value worker ;;
        scale) _tqunits_value worker ;;
        enable) _tqunits_value worker ;;
        disable) _tqunits_value worker ;;
        deploy) _tqunits_value worker ;;
        rollback) _tqunits_value worker;  ;;
        history) _tqunits_value worker ;;
        build) _tqunits_value worker ;;
        prune) _tqunits_value worker ;;
        pause) _tqunits_value worker ;;
        drain) _tqunits_value worker ;;
        maintenance) _tqunits_offer on off; _tqunits_value worker ;;
        resume) _tqunits_value worker ;;
        harvest) _tqunits_value worker ;;
        completion) _tqunits_offer bash zsh fish ;;
        help) _tqunits_offer init check docs security install apply uninstall diff render ls show why logs events doctor start stop restart reload scale enable disable repair deploy rollback history build prune pause drain maintenance resume proxy manager harvest completion version ;;
    esac
}

complete -F _tqunits tqunits
