#!/bin/sh
# After the files are gone. Lines and state stay: rpm has no purge.
set -e

if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
