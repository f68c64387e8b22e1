# shellcheck shell=sh
# Runs in the lab's dom0: makes /mnt the root of the machine on which QEMU runs, for programs of this Xen's dom0.
# Its files are read by 9p, what is written stays in memory; /proc, /sys, /dev, /run and Xen's tools are dom0's.
set -e
for module in /lab/modules/*.ko; do insmod "$module"; done
mkdir -p /host /scratch
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=262144,cache=loose share /host
mount -t tmpfs -o size=1200m tmpfs /scratch
mkdir -p /scratch/upper /scratch/work /mnt
mount -t overlay -o lowerdir=/host,upperdir=/scratch/upper,workdir=/scratch/work overlay /mnt
for folder in sys dev dev/pts run; do mount -o bind "/$folder" "/mnt/$folder"; done
mount -t proc proc /mnt/proc
mount -t xenfs xenfs /mnt/proc/xen
mkdir -p /mnt/var/lib/xen /mnt/var/log/xen /mnt/etc/xen /mnt/opt/dom0/lib /mnt/usr/lib/xen-4.17/bin
mount -o bind /var/log/xen /mnt/var/log/xen
cp /etc/xen/xl.conf /mnt/etc/xen/
cp -a /usr/lib/xen-4.17/bin/. /mnt/usr/lib/xen-4.17/bin/
cp -a /usr/lib/x86_64-linux-gnu/*.so* /mnt/opt/dom0/lib/
printf '#!/bin/sh\nLD_LIBRARY_PATH=/opt/dom0/lib exec /usr/lib/xen-4.17/bin/xl "$@"\n' > /mnt/usr/local/sbin/xl
chmod +x /mnt/usr/local/sbin/xl
for verb in read write list ls rm watch; do
    cp "/usr/bin/xenstore-$verb" /mnt/opt/dom0/
    printf '#!/bin/sh\nLD_LIBRARY_PATH=/opt/dom0/lib exec /opt/dom0/%s "$@"\n' "xenstore-$verb" > "/mnt/usr/local/sbin/xenstore-$verb"
    chmod +x "/mnt/usr/local/sbin/xenstore-$verb"
done
