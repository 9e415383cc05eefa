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
        string replace -rf '.*/([a-z][a-z0-9_-]*)/config/worker\.yaml$' '$1' -- $paths
    else
        string replace -rf '.*/tq-worker@([a-z][a-z0-9_-]*)\.service\.d$' '$1' -- $paths
    end
end

complete -c tqunits -f
complete -c tqunits -n '__tqunits_verb ""' -s C -d 'use another root folder' -x -a '(__fish_complete_directories)'
complete -c tqunits -n '__tqunits_verb ""' -l trust -d 'with -C: take DIR as root\'s, though others may change it'
complete -c tqunits -n '__tqunits_verb ""' -l user -d 'your own service manager instead of the system\'s'
complete -c tqunits -n '__tqunits_verb ""' -s h -l help -d 'show help'
complete -c tqunits -n '__tqunits_verb ""' -l version -d 'print the version'
complete -c tqunits -n '__tqunits_verb ""' -a init -d 'write a commented worker.yaml to start from'
complete -c tqunits -n '__tqunits_verb ""' -a check -d 'check every YAML file and say what is wrong, and where'
complete -c tqunits -n '__tqunits_verb ""' -a docs -d 'explain the settings of worker.yaml and tqunits.yaml'
complete -c tqunits -n '__tqunits_verb ""' -a security -d 'show the exposure of each worker\'s sandbox'
complete -c tqunits -n '__tqunits_verb ""' -a install -d 'write, enable and (--now) start the units of all workers'
complete -c tqunits -n '__tqunits_verb ""' -a apply -d 'make the host equal to the configuration: install, restart, remove'
complete -c tqunits -n '__tqunits_verb ""' -a uninstall -d 'stop and remove the units of workers'
complete -c tqunits -n '__tqunits_verb ""' -a diff -d 'show what install would change (0 same, 2 differs)'
complete -c tqunits -n '__tqunits_verb ""' -a render -d 'print the unit files that install would write'
complete -c tqunits -n '__tqunits_verb ""' -a ls -d 'list the workers: state, route, CPU, memory'
complete -c tqunits -n '__tqunits_verb ""' -a show -d 'show one worker: its settings and where they come from, its exits'
complete -c tqunits -n '__tqunits_verb ""' -a why -d 'say why a worker is down, or that it is well'
complete -c tqunits -n '__tqunits_verb ""' -a logs -d 'show the journal of workers'
complete -c tqunits -n '__tqunits_verb ""' -a events -d 'show what has happened to the workers, and why'
complete -c tqunits -n '__tqunits_verb ""' -a doctor -d 'check what this host offers and what is wrong on it'
complete -c tqunits -n '__tqunits_verb ""' -a start -d 'start workers and wait until they are healthy'
complete -c tqunits -n '__tqunits_verb ""' -a stop -d 'stop workers'
complete -c tqunits -n '__tqunits_verb ""' -a restart -d 'restart workers and wait until they are healthy'
complete -c tqunits -n '__tqunits_verb ""' -a reload -d 'have workers read their configuration again'
complete -c tqunits -n '__tqunits_verb ""' -a scale -d 'say how many instances workers have, or list it'
complete -c tqunits -n '__tqunits_verb ""' -a enable -d 'start workers at boot'
complete -c tqunits -n '__tqunits_verb ""' -a disable -d 'do not start workers at boot'
complete -c tqunits -n '__tqunits_verb ""' -a repair -d 'serve again what runs and has lost its files in /run'
complete -c tqunits -n '__tqunits_verb ""' -a deploy -d 'release what has changed, and let workers run it'
complete -c tqunits -n '__tqunits_verb ""' -a rollback -d 'let a worker run an earlier release again'
complete -c tqunits -n '__tqunits_verb ""' -a history -d 'show deploys: what, when, by whom, and how they ended'
complete -c tqunits -n '__tqunits_verb ""' -a build -d 'make a release, and let it wait for its deploy'
complete -c tqunits -n '__tqunits_verb ""' -a prune -d 'remove releases that are more than are to be kept'
complete -c tqunits -n '__tqunits_verb ""' -a pause -d 'let new requests for workers wait in the routers'
complete -c tqunits -n '__tqunits_verb ""' -a drain -d 'take running workers out of service, and wait for what runs'
complete -c tqunits -n '__tqunits_verb ""' -a maintenance -d 'answer all requests for workers with a page (on, off)'
complete -c tqunits -n '__tqunits_verb ""' -a resume -d 'send workers requests again'
complete -c tqunits -n '__tqunits_verb ""' -a proxy -d 'run the router'
complete -c tqunits -n '__tqunits_verb ""' -a manager -d 'run the manager'
complete -c tqunits -n '__tqunits_verb ""' -a harvest -d 'make a release, as the manager has asked for it'
complete -c tqunits -n '__tqunits_verb ""' -a completion -d 'print a completion script for your shell'
complete -c tqunits -n '__tqunits_verb ""' -a version -d 'print the version'
complete -c tqunits -n '__tqunits_verb ""' -a help -d 'explain a verb'
complete -c tqunits -n '__tqunits_verb init' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb init' -l type -d 'the runtime (default: exec)' -x -a 'go python node bun deno java ruby php static exec'
complete -c tqunits -n '__tqunits_verb init' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb check' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb check' -l strict -d 'exit 1 on warnings too'
complete -c tqunits -n '__tqunits_verb check' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb check' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb docs' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb docs' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb docs' -l markdown -d 'print tables in Markdown'
complete -c tqunits -n '__tqunits_verb security' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb security' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb security' -l threshold -d 'fail when a worker is above N, such as 1.5' -x
complete -c tqunits -n '__tqunits_verb security' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb install' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb install' -l now -d 'start the workers, restart those that have changed'
complete -c tqunits -n '__tqunits_verb install' -l prune -d 'remove workers that are no longer configured'
complete -c tqunits -n '__tqunits_verb install' -l unchanged -d 'only what is installed and not edited since'
complete -c tqunits -n '__tqunits_verb install' -l remove-all -d 'remove workers that are not configured also when that is all of them, or those of another root'
complete -c tqunits -n '__tqunits_verb install' -l replace -d 'overwrite files that tqunits has not written'
complete -c tqunits -n '__tqunits_verb install' -l dry-run -d 'print the changes as a diff, and change nothing'
complete -c tqunits -n '__tqunits_verb install' -l json -d 'print JSON: what was done; with --dry-run, the changes'
complete -c tqunits -n '__tqunits_verb install' -s q -l quiet -d 'say nothing but errors'
complete -c tqunits -n '__tqunits_verb install' -l timeout -d 'wait at most so long (30s, 2min); without it, as long as each worker\'s own timeouts allow' -x
complete -c tqunits -n '__tqunits_verb install' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb apply' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb apply' -l note -d 'apply nothing: only note who waits for a restart'
complete -c tqunits -n '__tqunits_verb apply' -l unattended -d 'remove no worker, and restart none that runs'
complete -c tqunits -n '__tqunits_verb apply' -l remove-all -d 'remove workers that are not configured also when that is all of them, or those of another root'
complete -c tqunits -n '__tqunits_verb apply' -l replace -d 'overwrite files that tqunits has not written'
complete -c tqunits -n '__tqunits_verb apply' -l dry-run -d 'print the changes as a diff, and change nothing'
complete -c tqunits -n '__tqunits_verb apply' -l json -d 'print JSON: what was done; with --dry-run, the changes'
complete -c tqunits -n '__tqunits_verb apply' -s q -l quiet -d 'say nothing but errors'
complete -c tqunits -n '__tqunits_verb apply' -l timeout -d 'wait at most so long (30s, 2min); without it, as long as each worker\'s own timeouts allow' -x
complete -c tqunits -n '__tqunits_verb apply' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb uninstall' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb uninstall' -l all -d 'remove everything that tqunits has installed'
complete -c tqunits -n '__tqunits_verb uninstall' -l purge -d 'remove the workers\' data, caches and users as well'
complete -c tqunits -n '__tqunits_verb uninstall' -s y -l yes -d 'do not ask before --all --purge'
complete -c tqunits -n '__tqunits_verb uninstall' -l keep-ledger -d 'with --all: the next install brings all of it back'
complete -c tqunits -n '__tqunits_verb uninstall' -l dry-run -d 'print what would be removed, and change nothing'
complete -c tqunits -n '__tqunits_verb uninstall' -l json -d 'print JSON: what was removed, or is to be'
complete -c tqunits -n '__tqunits_verb uninstall' -s q -l quiet -d 'say nothing but errors'
complete -c tqunits -n '__tqunits_verb uninstall' -l timeout -d 'wait at most so long (30s, 2min); without it, as long as each worker\'s own timeouts allow' -x
complete -c tqunits -n '__tqunits_verb uninstall' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb diff' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb diff' -l prune -d 'also show what apply would remove'
complete -c tqunits -n '__tqunits_verb diff' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb render' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb render' -l out -d 'write the files below DIR' -x -a '(__fish_complete_directories)'
complete -c tqunits -n '__tqunits_verb render' -l systemd -d 'for that version of systemd (252 or newer)' -x
complete -c tqunits -n '__tqunits_verb render' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb render' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb ls' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb ls' -s w -l watch -d 'show the list again after each change'
complete -c tqunits -n '__tqunits_verb ls' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb ls' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb show' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb show' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb show' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb why' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb why' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb why' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb logs' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb logs' -l access -d 'the access log, and it alone'
complete -c tqunits -n '__tqunits_verb logs' -l router -d 'the router\'s own messages, and them alone'
complete -c tqunits -n '__tqunits_verb logs' -l request -d 'all that is known of this request, by its X-Request-ID' -x
complete -c tqunits -n '__tqunits_verb logs' -s f -l follow -d 'go on with what comes'
complete -c tqunits -n '__tqunits_verb logs' -s n -l lines -d 'only the last N lines' -x
complete -c tqunits -n '__tqunits_verb logs' -l since -d 'from then on: \'10:00\', \'-1h\', \'yesterday\' (systemd.time(7))' -x
complete -c tqunits -n '__tqunits_verb logs' -l until -d 'up to then' -x
complete -c tqunits -n '__tqunits_verb logs' -s p -l priority -d 'as grave as that: err, warning, info, or err..crit' -x
complete -c tqunits -n '__tqunits_verb logs' -s g -l grep -d 'only messages that match it (a PCRE)' -x
complete -c tqunits -n '__tqunits_verb logs' -s b -l boot -d 'only of this boot; -1: the one before' -x
complete -c tqunits -n '__tqunits_verb logs' -s o -l output -d 'journalctl\'s format: short-iso, cat, json, verbose ...' -x
complete -c tqunits -n '__tqunits_verb logs' -l json -d 'the same as --output json: one object a line'
complete -c tqunits -n '__tqunits_verb logs' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb events' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb events' -s f -l follow -d 'go on with what comes'
complete -c tqunits -n '__tqunits_verb events' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb events' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb doctor' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb doctor' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb start' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb start' -l all -d 'every worker that is enabled in its worker.yaml'
complete -c tqunits -n '__tqunits_verb start' -l no-block -d 'return at once, without waiting for the result'
complete -c tqunits -n '__tqunits_verb start' -l timeout -d 'wait at most so long (30s, 2min); without it, as long as each worker\'s own timeouts allow' -x
complete -c tqunits -n '__tqunits_verb start' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb start' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb stop' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb stop' -l all -d 'every worker'
complete -c tqunits -n '__tqunits_verb stop' -l no-block -d 'return at once, without waiting for the result'
complete -c tqunits -n '__tqunits_verb stop' -l timeout -d 'wait at most so long (30s, 2min); without it, as long as each worker\'s own timeouts allow' -x
complete -c tqunits -n '__tqunits_verb stop' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb stop' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb restart' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb restart' -l all -d 'every worker that is enabled in its worker.yaml'
complete -c tqunits -n '__tqunits_verb restart' -l at-once -d 'all instances together: requests wait in the router meanwhile'
complete -c tqunits -n '__tqunits_verb restart' -l no-block -d 'return at once, without waiting for the result'
complete -c tqunits -n '__tqunits_verb restart' -l timeout -d 'wait at most so long (30s, 2min); without it, as long as each worker\'s own timeouts allow' -x
complete -c tqunits -n '__tqunits_verb restart' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb restart' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb reload' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb reload' -l all -d 'every worker that runs and can be reloaded'
complete -c tqunits -n '__tqunits_verb reload' -l no-block -d 'return at once, without waiting for the result'
complete -c tqunits -n '__tqunits_verb reload' -l timeout -d 'wait at most so long (30s, 2min); without it, as long as each worker\'s own timeouts allow' -x
complete -c tqunits -n '__tqunits_verb reload' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb reload' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb scale' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb scale' -l dry-run -d 'print the changes as a diff, and change nothing'
complete -c tqunits -n '__tqunits_verb scale' -l json -d 'print JSON: what was done; with --dry-run, the changes'
complete -c tqunits -n '__tqunits_verb scale' -s q -l quiet -d 'say nothing but errors'
complete -c tqunits -n '__tqunits_verb scale' -l timeout -d 'wait at most so long (30s, 2min); without it, as long as each worker\'s own timeouts allow' -x
complete -c tqunits -n '__tqunits_verb scale' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb enable' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb enable' -l all -d 'every worker'
complete -c tqunits -n '__tqunits_verb enable' -l now -d 'also start them'
complete -c tqunits -n '__tqunits_verb enable' -l no-block -d 'return at once, without waiting for the result'
complete -c tqunits -n '__tqunits_verb enable' -l timeout -d 'wait at most so long (30s, 2min); without it, as long as each worker\'s own timeouts allow' -x
complete -c tqunits -n '__tqunits_verb enable' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb enable' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb disable' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb disable' -l all -d 'every worker'
complete -c tqunits -n '__tqunits_verb disable' -l now -d 'also stop them'
complete -c tqunits -n '__tqunits_verb disable' -l no-block -d 'return at once, without waiting for the result'
complete -c tqunits -n '__tqunits_verb disable' -l timeout -d 'wait at most so long (30s, 2min); without it, as long as each worker\'s own timeouts allow' -x
complete -c tqunits -n '__tqunits_verb disable' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb disable' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb repair' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb repair' -s n -l dry-run -d 'say what is to be done, and do nothing'
complete -c tqunits -n '__tqunits_verb repair' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb deploy' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb deploy' -s m -l message -d 'why, in a line that \'history\' shows' -x
complete -c tqunits -n '__tqunits_verb deploy' -l detach -d 'return when the manager has taken it over'
complete -c tqunits -n '__tqunits_verb deploy' -l json -d 'print JSON: an object a line, for each step and each end'
complete -c tqunits -n '__tqunits_verb deploy' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb rollback' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb rollback' -s m -l message -d 'why, in a line that \'history\' shows' -x
complete -c tqunits -n '__tqunits_verb rollback' -l detach -d 'return when the manager has taken it over'
complete -c tqunits -n '__tqunits_verb rollback' -l json -d 'print JSON: an object a line, for each step and each end'
complete -c tqunits -n '__tqunits_verb rollback' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb history' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb history' -s n -l limit -d 'the last N (by itself 20, at most 500)' -x
complete -c tqunits -n '__tqunits_verb history' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb history' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb build' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb build' -s m -l message -d 'why, in a line that \'history\' shows' -x
complete -c tqunits -n '__tqunits_verb build' -l detach -d 'return when the manager has taken it over'
complete -c tqunits -n '__tqunits_verb build' -l json -d 'print JSON: an object a line, for each step and each end'
complete -c tqunits -n '__tqunits_verb build' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb prune' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb prune' -l caches -d 'also remove what builds keep for the next ones'
complete -c tqunits -n '__tqunits_verb prune' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb prune' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb pause' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb pause' -l all -d 'every worker'
complete -c tqunits -n '__tqunits_verb pause' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb pause' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb drain' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb drain' -l all -d 'every worker'
complete -c tqunits -n '__tqunits_verb drain' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb drain' -l timeout -d 'wait at most so long (30s, 2min) for what runs' -x
complete -c tqunits -n '__tqunits_verb drain' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb maintenance' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb maintenance' -l all -d 'every worker'
complete -c tqunits -n '__tqunits_verb maintenance' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb maintenance' -l text -d 'what the page says, with `on`' -x
complete -c tqunits -n '__tqunits_verb maintenance' -a 'on off'
complete -c tqunits -n '__tqunits_verb maintenance' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb resume' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb resume' -l all -d 'every worker'
complete -c tqunits -n '__tqunits_verb resume' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb resume' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb proxy' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb proxy' -l listen -d 'HOST:PORT, [V6]:PORT or unix:/PATH; repeatable' -x
complete -c tqunits -n '__tqunits_verb proxy' -l route -d '[HOST]/PREFIX=ENDPOINT[,SETTING=VALUE...]; repeatable' -x
complete -c tqunits -n '__tqunits_verb proxy' -l keep-prefix -d 'give the worker the whole path (with --route)'
complete -c tqunits -n '__tqunits_verb proxy' -l queue-timeout -d 'how long a request waits for an endpoint that takes no connections (with --route; default 30s)' -x
complete -c tqunits -n '__tqunits_verb proxy' -l routes -d 'the routes as install writes them; reread when it changes' -r -F
complete -c tqunits -n '__tqunits_verb proxy' -l control -d 'where to make a control socket, if systemd passes none' -x
complete -c tqunits -n '__tqunits_verb proxy' -l serving -d 'send a worker requests while DIR/NAME/serving is there' -x -a '(__fish_complete_directories)'
complete -c tqunits -n '__tqunits_verb proxy' -l leave -d 'where workers that stop ask whether they are drained' -x
complete -c tqunits -n '__tqunits_verb proxy' -l traffic -d 'answer with 503 for workers that are stopped in FILE' -r -F
complete -c tqunits -n '__tqunits_verb proxy' -l unready -d 'send instances none that fail their health checks by FILE' -r -F
complete -c tqunits -n '__tqunits_verb proxy' -l repair -d 'write to stdout when a worker may have lost its file in DIR: tq-repair.path watches what that is'
complete -c tqunits -n '__tqunits_verb proxy' -l certificate -d 'speak TLS too, on every address: a PEM chain, or a folder of NAME.pem with NAME.key, chosen by SNI' -r -F
complete -c tqunits -n '__tqunits_verb proxy' -l key -d 'the certificate\'s private key, PEM' -r -F
complete -c tqunits -n '__tqunits_verb proxy' -l check -d 'only look whether certificate and key are fit for use'
complete -c tqunits -n '__tqunits_verb proxy' -l access-log -d 'journal, combined[:PATH], json[:PATH] (to stdout without PATH) or none; without it, as the routes say' -x
complete -c tqunits -n '__tqunits_verb proxy' -l journal-namespace -d 'the journal\'s namespace that an access log in the journal goes to; without it, the journal itself' -x -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb proxy' -l access-log-sample -d 'log one of N requests, and all that failed here or in a worker' -x
complete -c tqunits -n '__tqunits_verb manager' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb manager' -l control -d 'where to make a control socket, if systemd passes none' -x
complete -c tqunits -n '__tqunits_verb manager' -l metrics -d 'where to answer GET /metrics (manager.metrics)' -x
complete -c tqunits -n '__tqunits_verb manager' -l rolls -d 'how many workers are replaced at once (manager.max_parallel_rolls)' -x
complete -c tqunits -n '__tqunits_verb manager' -l workers -d 'the folder of the workers\' folders (workers.directory)' -x -a '(__fish_complete_directories)'
complete -c tqunits -n '__tqunits_verb manager' -l new -d 'have new folders of workers installed by themselves (watch.new)'
complete -c tqunits -n '__tqunits_verb manager' -l configuration -d 'have changes of tqunits.yaml applied by themselves (watch.enabled)'
complete -c tqunits -n '__tqunits_verb harvest' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb harvest' -a '(__tqunits_workers)'
complete -c tqunits -n '__tqunits_verb completion' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb completion' -a 'bash zsh fish'
complete -c tqunits -n '__tqunits_verb version' -s h -l help -d 'show this help message and exit'
complete -c tqunits -n '__tqunits_verb version' -l running -d 'ask the router\'s processes and the manager, too'
complete -c tqunits -n '__tqunits_verb version' -l json -d 'print JSON'
complete -c tqunits -n '__tqunits_verb help' -a 'init check docs security install apply uninstall diff render ls show why logs events doctor start stop restart reload scale enable disable repair deploy rollback history build prune pause drain maintenance resume proxy manager harvest completion version'
