// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lets the target write to its own read-only memory, as an attacker in its
 * kernel does: "HOW ADDRESS HEXBYTES" into /proc/poke.  HOW is
 *   wp    the mapping that everybody uses, with CR0.WP cleared for the write;
 *   vmap  another, writable mapping of the same frames;
 *   frame the frame is given back to Xen and another one taken in its place,
 *         with the same content but for the bytes.
 * The moment is told on the console, just before the write.  For the lab only.
 */
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <asm/processor-flags.h>
#include <asm/xen/hypercall.h>
#include <xen/interface/memory.h>

#define BYTES_MAX 16
#define LINE_SIZE 80

static unsigned int count;

/* Without the kernel's own helper, which puts the bit back at once. */
static void write_cr0_now(unsigned long value)
{
	asm volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

static void poke_wp(void *at, const u8 *bytes, size_t n)
{
	unsigned long flags, cr0;

	local_irq_save(flags);
	asm volatile("mov %%cr0, %0" : "=r"(cr0));
	write_cr0_now(cr0 & ~X86_CR0_WP);
	memcpy(at, bytes, n);
	write_cr0_now(cr0);
	local_irq_restore(flags);
}

static int poke_vmap(unsigned long at, const u8 *bytes, size_t n)
{
	struct page *pages[2];
	void *window;

	pages[0] = pfn_to_page(__pa(at & PAGE_MASK) >> PAGE_SHIFT);
	pages[1] = pfn_to_page(__pa((at & PAGE_MASK) + PAGE_SIZE) >> PAGE_SHIFT);
	window = vmap(pages, 2, VM_MAP, PAGE_KERNEL);
	if (!window)
		return -ENOMEM;
	memcpy(window + (at & ~PAGE_MASK), bytes, n);
	vunmap(window);
	return 0;
}

/* The bytes lie in one page.  Meanwhile nothing may use it: interrupts are off, and there is one vCPU. */
static int poke_frame(unsigned long at, const u8 *bytes, size_t n)
{
	xen_pfn_t gfn = __pa(at) >> PAGE_SHIFT;
	struct xen_memory_reservation r = { .nr_extents = 1, .domid = DOMID_SELF };
	struct page *page = pfn_to_page(gfn);
	void *content = (void *)__get_free_page(GFP_KERNEL);
	void *window = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
	unsigned long flags;
	int err = -ENOMEM;

	if (!content || !window)
		goto out;
	memcpy(content, (void *)(at & PAGE_MASK), PAGE_SIZE);
	memcpy(content + (at & ~PAGE_MASK), bytes, n);
	set_xen_guest_handle(r.extent_start, &gfn);
	local_irq_save(flags);
	err = HYPERVISOR_memory_op(XENMEM_decrease_reservation, &r) == 1 ? 0 : -EBUSY;
	if (!err && HYPERVISOR_memory_op(XENMEM_populate_physmap, &r) != 1)
		panic("the frame that was given back does not come again");
	if (!err)
		memcpy(window, content, PAGE_SIZE);
	local_irq_restore(flags);
out:
	vunmap(window);
	free_page((unsigned long)content);
	return err;
}

static ssize_t poke_write(struct file *file, const char __user *from, size_t size, loff_t *pos)
{
	char line[LINE_SIZE] = "", how[8], hex[2 * BYTES_MAX + 1];
	u8 bytes[BYTES_MAX];
	unsigned long at;
	size_t n;
	int err = 0;

	if (size >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, from, size))
		return -EFAULT;
	if (sscanf(line, "%7s %lx %32s", how, &at, hex) != 3)
		return -EINVAL;
	n = strlen(hex) / 2;
	if (!n || strlen(hex) % 2 || hex2bin(bytes, hex, n))
		return -EINVAL;
	pr_err("poke %u\n", ++count);
	if (!strcmp(how, "wp"))
		poke_wp((void *)at, bytes, n);
	else if (!strcmp(how, "vmap"))
		err = poke_vmap(at, bytes, n);
	else if (!strcmp(how, "frame"))
		err = poke_frame(at, bytes, n);
	else
		err = -EINVAL;
	return err ? err : size;
}

static const struct proc_ops poke_ops = { .proc_write = poke_write };

static int __init start(void)
{
	return proc_create("poke", 0200, NULL, &poke_ops) ? 0 : -ENOMEM;
}

static void __exit stop(void)
{
	remove_proc_entry("poke", NULL);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("writes that the target makes to its own kernel, in the lab");
