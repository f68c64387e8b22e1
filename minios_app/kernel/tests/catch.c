/* SPDX-License-Identifier: MIT */
/* Surviving a trap that was provoked. */
#include <mini-os/traps.h>

#include "smoke.h"

bool catch_call(void (*fn)(void *), void *arg, unsigned long *sp);
extern char catch_resume[];

static struct caught *armed;
static unsigned long saved_sp;

bool trap_recover(struct pt_regs *regs, unsigned long vector, unsigned long cr2)
{
    if (!armed)
        return false;
    *armed = (struct caught){ .vector = vector, .error = regs->orig_rax, .cr2 = cr2, .rip = regs->rip };
    armed = NULL;
    regs->rsp = saved_sp;
    regs->rip = (unsigned long)catch_resume;
    return true;
}

bool catch_trap(void (*fn)(void *), void *arg, struct caught *caught)
{
    bool trapped;

    memset(caught, 0, sizeof(*caught));
    armed = caught;
    trapped = catch_call(fn, arg, &saved_sp);
    armed = NULL;
    return trapped;
}
