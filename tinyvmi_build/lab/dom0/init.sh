#!/bin/sh
# The lab's dom0: from the kernel to a running toolstack and the agent.  Each stage is printed with the guest's uptime.
/usr/bin/busybox --install -s /usr/bin
say() { echo "TINYVMI-DOM0 $* $(cut -d' ' -f1 /proc/uptime)"; }

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /run/xen /run/xenstored /run/lock
mount -t devpts pts /dev/pts
export PATH=/usr/sbin:/usr/bin HOME=/root TERM=vt100 LC_ALL=C.UTF-8
say kernel

for module in xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs; do
    insmod "/lib/modules/$module.ko" || say failed "$module"
done
mount -t xenfs xenfs /proc/xen
xenstored --pid-file /run/xen/xenstored.pid || say failed xenstored
xen-init-dom0 >/dev/null || say failed xen-init-dom0
xenconsoled --log=all --log-dir=/var/log/xen/console --pid-file=/run/xen/xenconsoled.pid || say failed xenconsoled
say toolstack

(
    while true; do
        python3 -m tinyvmi_build.lab.dom0.agent /dev/ttyS1
        say failed agent
        sleep 1
    done
) &
# Somebody at the console gets a shell; its end is not the end of the lab.
while true; do
    setsid -c sh </dev/hvc0 >/dev/hvc0 2>&1
done
