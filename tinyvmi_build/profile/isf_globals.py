"""Types of the kernel's variables that people search memory for.

BTF describes types and, of the variables, only the per-CPU ones.  Each line is
the variable's declaration in the kernel's source file; one whose structure
this kernel does not have is left out.  `T *` is a pointer, `T []` an array that
reaches to the next symbol, and so perhaps over some padding.
"""

from __future__ import annotations

from collections.abc import Callable

from tinyvmi_build.profile.isf_types import Descriptor, IsfTypes

_DECLARED = """
init/init_task.c                struct task_struct init_task
mm/init-mm.c                    struct mm_struct init_mm
fs/file.c                       struct files_struct init_files
fs/fs_struct.c                  struct fs_struct init_fs
kernel/cred.c                   struct cred init_cred
kernel/nsproxy.c                struct nsproxy init_nsproxy
kernel/pid.c                    struct pid_namespace init_pid_ns
kernel/user.c                   struct user_namespace init_user_ns
init/version.c                  struct uts_namespace init_uts_ns
net/core/net_namespace.c        struct net init_net
net/core/net_namespace.c        struct list_head net_namespace_list
kernel/module/main.c            struct list_head modules
kernel/module/main.c            struct mod_tree_root mod_tree
kernel/module.c                 unsigned_long module_addr_min
kernel/module.c                 unsigned_long module_addr_max
kernel/params.c                 struct kset * module_kset
kernel/kallsyms_internal.h      unsigned_int kallsyms_num_syms
kernel/trace/ftrace.c           struct list_head ftrace_mod_maps
kernel/trace/ftrace.c           struct list_head ftrace_ops_trampoline_list
kernel/trace/ftrace.c           struct ftrace_ops * ftrace_ops_list
kernel/trace/ftrace.c           struct ftrace_ops ftrace_list_end
kernel/tracepoint.c             int __start___tracepoints_ptrs []
kernel/bpf/core.c               struct list_head bpf_kallsyms
kernel/bpf/core.c               struct latch_tree_root bpf_tree
kernel/bpf/syscall.c            struct idr prog_idr
kernel/bpf/syscall.c            struct idr map_idr
kernel/kprobes.c                struct hlist_head kprobe_table [64]
kernel/tracepoint.c             struct list_head tracepoint_module_list
kernel/resource.c               struct resource iomem_resource
kernel/resource.c               struct resource ioport_resource
kernel/printk/printk.c          struct printk_ringbuffer * prb
kernel/printk/printk.c          char * log_buf
kernel/printk/printk.c          unsigned_int log_buf_len
kernel/panic.c                  struct taint_flag taint_flags []
kernel/capability.c             int cap_last_cap
kernel/reboot.c                 int reboot_force
kernel/time/timekeeping.c       unsigned_long jiffies
arch/x86/kernel/idt.c           struct gate_struct idt_table [256]
arch/x86/kernel/head64.c        unsigned_long phys_base
arch/x86/kernel/head64.c        unsigned_long page_offset_base
arch/x86/kernel/head64.c        unsigned_long vmalloc_base
arch/x86/kernel/head64.c        unsigned_long vmemmap_base
arch/x86/kernel/setup.c         struct cpuinfo_x86 boot_cpu_data
arch/x86/kernel/setup_percpu.c  unsigned_long __per_cpu_offset []
arch/x86/entry/syscall_64.c     void * sys_call_table []
arch/x86/entry/syscall_32.c     void * ia32_sys_call_table []
kernel/cpu.c                    struct cpumask __cpu_online_mask
kernel/cpu.c                    struct cpumask __cpu_possible_mask
kernel/sched/core.c             unsigned_int nr_cpu_ids
fs/super.c                      struct list_head super_blocks
fs/namespace.c                  struct hlist_head * mount_hashtable
mm/slab_common.c                struct list_head slab_caches
mm/page_alloc.c                 struct pglist_data * node_data []
drivers/tty/tty_io.c            struct list_head tty_drivers
drivers/tty/vt/keyboard.c       struct atomic_notifier_head keyboard_notifier_list
drivers/video/fbdev/core/fbmem.c struct fb_info * registered_fb []
drivers/video/fbdev/core/fbmem.c int num_registered_fb
net/socket.c                    struct file_operations socket_file_ops
net/socket.c                    struct dentry_operations sockfs_dentry_operations
net/netfilter/core.c            struct list_head nf_hooks
kernel/cgroup/cgroup.c          struct cgroup_root cgrp_dfl_root
"""
_ALIASES = {"unsigned_long": "long unsigned int", "unsigned_int": "unsigned int"}


def global_types(types: IsfTypes, room: Callable[[str], int]) -> dict[str, Descriptor]:
    """Variable → the descriptor of its type, for those whose types this kernel has.

    `room`: bytes from a variable to the next symbol, 0 if the kernel does not have it.
    """
    found = dict(types.variables)
    for line in _DECLARED.strip().splitlines():
        _, *words = line.split()
        name, described = _declared(words, types, room)
        if described is not None:
            found.setdefault(name, described)
    return found


def _declared(words: list[str], types: IsfTypes, room: Callable[[str], int]) -> tuple[str, Descriptor | None]:
    described: Descriptor
    if words[0] == "struct":
        known, described = words[1] in types.user_types, {"kind": "struct", "name": words[1]}
        size = _size(types.user_types, words[1])
        words = words[2:]
    else:
        base = _ALIASES.get(words[0], words[0])
        known, described = base in types.base_types, {"kind": "base", "name": base}
        size = _size(types.base_types, base)
        words = words[1:]
    if words[0] == "*":
        described, size = {"kind": "pointer", "subtype": described}, 8
        words = words[1:]
    if words[1:]:
        count = int(words[1][1:-1] or (room(words[0]) // size if size else 0))
        described = {"kind": "array", "count": count, "subtype": described}
    return words[0], described if known else None


def _size(known: dict[str, Descriptor], name: str) -> int:
    size = known.get(name, {}).get("size", 0)
    return size if isinstance(size, int) else 0
