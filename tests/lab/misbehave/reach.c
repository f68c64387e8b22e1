/* SPDX-License-Identifier: MIT */
/*
 * A monitor that has been taken over: it tries what nobody has given it, and
 * says what Xen answered.  Command line: TARGET,THIRD (domids; dom0 is 0).  One
 * line an attempt, `REACH who what rc`, and `REACH done` at the end.
 */
#include <mini-os/hypervisor.h>
#include <mini-os/kernel.h>
#include <mini-os/lib.h>
#include <mini-os/mm.h>
#include <mini-os/sched.h>

#include <xen/memory.h>

#define FRAME 0x1000 /* where a PVH guest's kernel begins: there is memory in each of them */

enum {
    PAUSE = 3,
    UNPAUSE = 4,
    GETINFO = 5,
    DESTROY = 2,
    MAX_MEM = 11,
    SETCONTEXT = 12,
    GETCONTEXT = 13,
    HVMCONTEXT = 55
};

static const struct {
    const char *name;
    uint32_t cmd;
} domctls[] = {
    { "getdomaininfo", GETINFO }, { "getvcpucontext", GETCONTEXT }, { "gethvmcontext", HVMCONTEXT },
    { "pause", PAUSE },           { "setvcpucontext", SETCONTEXT }, { "max-mem", MAX_MEM },
    { "destroy", DESTROY },
};

struct domctl { /* struct xen_domctl, public/domctl.h */
    uint32_t cmd, interface_version;
    uint16_t domain, pad[3];
    uint64_t u[16];
};

static uint8_t buffer[8192] __attribute__((aligned(4096)));

static void tell(const char *who, const char *what, long rc)
{
    printk("REACH %s %s %ld\n", who, what, rc);
}

/* Map FRAME of `domain`; if Xen lets us and it is writable, write back what is there. */
static long map(domid_t domain, unsigned long prot)
{
    static unsigned long va;
    unsigned long frame = FRAME;
    int err = 0;

    if (!va)
        va = allocate_ondemand(1, 1);
    do_map_frames(va, &frame, 1, 0, 0, domain, &err, prot);
    if (err == 0 && (prot & _PAGE_RW))
        *(volatile uint8_t *)va = *(volatile uint8_t *)va;
    return err;
}

/* Xen answers EACCES to a version that is not its own, too: the kindest answer of all versions counts. */
static long domctl(domid_t domain, uint32_t cmd)
{
    long best = -13;

    for (uint32_t v = 0x12; v < 0x20; v++) {
        struct domctl op = { .cmd = cmd, .interface_version = v, .domain = domain };
        long rc;

        if (cmd == GETCONTEXT || cmd == SETCONTEXT) {
            op.u[1] = (uint64_t)buffer;
        } else if (cmd == HVMCONTEXT) {
            op.u[0] = 2; /* the processor, of vCPU 0 */
            op.u[1] = sizeof(buffer);
            op.u[2] = (uint64_t)buffer;
        } else if (cmd == MAX_MEM) {
            op.u[0] = 1 << 20;
        }
        rc = HYPERVISOR_domctl((unsigned long)&op);
        if (rc != -13)
            best = rc;
        if (rc == 0 && cmd == PAUSE) {
            op.cmd = UNPAUSE;
            HYPERVISOR_domctl((unsigned long)&op);
        }
        if (rc == 0 && cmd == GETINFO && (uint16_t)op.u[0] != domain)
            best = -3; /* Xen answered for another one, as it does for a number that is free */
    }
    return best;
}

static void attempt(const char *who, domid_t domain, int all)
{
    domid_t asked = domain;

    tell(who, "map-read", map(domain, L1_PROT_RO));
    tell(who, "map-write", map(domain, L1_PROT));
    tell(who, "maximum-gpfn", HYPERVISOR_memory_op(XENMEM_maximum_gpfn, &asked) < 0 ? -1 : 0);
    for (size_t i = 0; all && i < ARRAY_SIZE(domctls); i++)
        if (domctls[i].cmd != DESTROY || strcmp(who, "target"))
            tell(who, domctls[i].name, domctl(domain, domctls[i].cmd));
}

static domid_t next_domid(const char **text)
{
    unsigned int id = 0;

    while (**text >= '0' && **text <= '9')
        id = id * 10 + (unsigned int)(*(*text)++ - '0');
    if (**text == ',')
        (*text)++;
    return (domid_t)id;
}

static void misbehave(void *unused)
{
    const char *text = cmdline;
    domid_t target = next_domid(&text), third = next_domid(&text);

    (void)unused;
    attempt("target", target, 1);
    attempt("third", third, 1);
    attempt("dom0", 0, 1);
    attempt("xen", DOMID_XEN, 0);
    attempt("io", DOMID_IO, 0);
    printk("REACH done\n");
    for (;;)
        msleep(1000);
}

int app_main(start_info_t *si);
int app_main(start_info_t *si)
{
    (void)si;
    create_thread("misbehave", misbehave, NULL);
    return 0;
}
