/* SPDX-License-Identifier: MIT */
/*
 * kexec KERNEL INITRD COMMAND_LINE [crash]: load a kernel (kexec_file_load(2)).
 * Without `crash` it is started at once; with it, when the running one panics.
 */
#include <fcntl.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    unsigned long flags = argc > 4 ? KEXEC_FILE_ON_CRASH : 0;
    int kernel, initrd;

    if (argc < 4)
        return 2;
    kernel = open(argv[1], O_RDONLY);
    initrd = open(argv[2], O_RDONLY);
    if (kernel < 0 || initrd < 0 ||
        syscall(SYS_kexec_file_load, kernel, initrd, strlen(argv[3]) + 1, argv[3], flags)) {
        perror("kexec_file_load");
        return 1;
    }
    if (!flags)
        syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
    return 0;
}
