#!/bin/sh
# Install Debian packages: `toolchain/apt-install.sh NAME...`.
# While another process holds one of apt's locks this script names it and waits.
set -eu

LOCKS="/var/lib/apt/lists/lock /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/cache/apt/archives/lock"
export DEBIAN_FRONTEND=noninteractive

# Print the pid of the process that holds one of the locks; nothing if they are free.
holder() {
    for lock in $LOCKS; do
        inode=$(stat -c %i "$lock" 2>/dev/null) || continue
        # /proc/locks: NUMBER: TYPE KIND MODE PID DEVICE:INODE START END
        awk -v end=":$inode" 'substr($6, length($6) - length(end) + 1) == end { print $5; exit }' /proc/locks
    done | head -n 1
}

wait_for_locks() {
    named=
    while pid=$(holder) && [ -n "$pid" ]; do
        if [ "$pid" != "$named" ]; then
            command=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) || command=
            echo "setup: apt's lock is held by process $pid (${command:-unknown}); waiting" >&2
            named=$pid
        fi
        sleep 1
    done
}

# Run apt-get; again if another process has taken a lock meanwhile.
apt() {
    while :; do
        wait_for_locks
        status=0
        LC_ALL=C.UTF-8 apt-get -o DPkg::Lock::Timeout=600 "$@" >/dev/null 2>"$said" || status=$?
        if [ "$status" = 0 ] || ! grep -q 'Could not get lock\|Unable to lock\|Unable to acquire' "$said"; then
            break
        fi
        sleep 1
    done
    cat "$said" >&2
    return "$status"
}

said=$(mktemp)
trap 'rm -f "$said"' EXIT
apt update -qq
apt install -qq -y --no-install-recommends "$@"
