#!/bin/sh
# After the files are there. dpkg says "configure" and the old version, rpm 1 (new) or 2 (upgrade).
set -e

is_upgrade() {
    case "$1" in
    configure) [ -n "$2" ] ;;
    *) [ "$1" = 2 ] ;;
    esac
}

case "$1" in
configure | 1 | 2)
    systemd-sysusers /usr/lib/sysusers.d/kube-event-pipe.conf
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        # Not started at the first installation: it has no kubeconfig yet.
        if is_upgrade "$@"; then
            systemctl try-restart kube-event-pipe.service 'kube-event-pipe@*.service'
        fi
    fi
    ;;
esac
