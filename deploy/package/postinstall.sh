#!/bin/sh
# After the files are there. dpkg says "configure" and the old version, rpm 1 (new) or 2 (upgrade).
set -e

is_upgrade() {
    case "$1" in
    configure) [ -n "$2" ] ;;
    *) [ "$1" = 2 ] ;;
    esac
}

# A systemd that knows Type=notify-reload is told to use it. preremove.sh takes the links away.
link_notify_reload() {
    version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    for unit in kube-event-pipe kube-event-pipe@; do
        folder=/usr/lib/systemd/system/$unit.service.d
        if [ "${version:-0}" -ge 253 ]; then
            mkdir -p "$folder"
            ln -sf /usr/share/kube-event-pipe/notify-reload.conf "$folder/"
        else
            rm -f "$folder/notify-reload.conf"
        fi
    done
}

case "$1" in
configure | 1 | 2)
    link_notify_reload
    systemd-sysusers /usr/lib/sysusers.d/kube-event-pipe.conf
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        # Not started at the first installation: it has no kubeconfig yet.
        if is_upgrade "$@"; then
            # A start that fails, such as for a wrong setting, is told, and no fault of the package.
            systemctl try-restart kube-event-pipe.service 'kube-event-pipe@*.service' || true
        fi
    fi
    ;;
esac
