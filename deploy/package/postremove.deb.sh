#!/bin/sh
# After the files are gone. Lines and state go at a purge alone, as Debian's policy has it.
# The user stays, as other files may be its own.
set -e

if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
if [ "$1" = purge ]; then
    rm -rf /var/lib/kube-event-pipe /var/log/kube-event-pipe
    # What the administrator put there, such as a kubeconfig, stays.
    if [ -d /etc/kube-event-pipe ]; then
        rmdir --ignore-fail-on-non-empty /etc/kube-event-pipe
    fi
fi
