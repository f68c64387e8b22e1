#!/bin/sh
# The watched guest's only process: says that it is up, then does what the console asks (see __init__.py).
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
stty -echo -onlcr 2>/dev/null
echo 4 > /proc/sys/kernel/printk
for module in /modules/*.ko; do
    [ -e "$module" ] || continue
    insmod "$module" || echo "TINYVMI-GUEST failed to load $module"
done
if [ -e /before ]; then
    sh -e /before </dev/null || echo "TINYVMI-GUEST failed in its script: $?"
fi
echo "TINYVMI-GUEST ready $(uname -r)"
while true; do
    if ! read -r word id command; then
        sleep 1
        continue
    fi
    [ "$word" = run ] || continue
    sh -c "$command" </dev/null 2>&1
    echo "TINYVMI-GUEST done $id $?"
done
