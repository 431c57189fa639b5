#!/bin/sh
# Before the files go. dpkg says "remove" or "upgrade", rpm 0 (remove) or 1 (upgrade).
set -e

case "$1" in
remove | 0)
    if [ -d /run/systemd/system ]; then
        systemctl stop kube-event-pipe.service 'kube-event-pipe@*.service'
    fi
    # Their links stand in /etc, also where systemd does not run. Instances are found by them.
    for link in /etc/systemd/system/*.wants/kube-event-pipe.service \
        /etc/systemd/system/*.wants/kube-event-pipe@*.service; do
        if [ -L "$link" ]; then rm -f "$link"; fi
    done
    for folder in /usr/lib/systemd/system/kube-event-pipe*.service.d; do
        rm -f "$folder/notify-reload.conf"
        if [ -d "$folder" ]; then rmdir --ignore-fail-on-non-empty "$folder"; fi
    done
    ;;
esac
