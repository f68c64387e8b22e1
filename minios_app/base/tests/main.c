#include <mini-os/lib.h>
#include <mini-os/sched.h>
static void runner(void *d)
{
    (void)d;
    printk("hello from a thread, cmdline '%s'\n", cmdline);
    msleep(20);
    printk("1..0\n");
    HYPERVISOR_shutdown(SHUTDOWN_reboot);
}
int app_main(start_info_t *si);
int app_main(start_info_t *si)
{
    (void)si;
    create_thread("runner", runner, NULL);
    return 0;
}
