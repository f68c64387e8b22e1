/* SPDX-License-Identifier: MIT */
/*
 * bpf fentry FUNCTION | xdp: load a program that does nothing, attach it to a
 * kernel function's entry (through a BPF trampoline) or to the loopback device
 * (through the dispatcher), and hold it.  Runs in the guest, without libbpf.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char log_text[65536];

static int bpf(int command, union bpf_attr *attr)
{
    return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int fail(const char *what)
{
    printf("bpf: %s: %s\n%s\n", what, strerror(errno), log_text);
    return 1;
}

/* The number of a function's type in the kernel's BTF; 0 if there is none. */
static unsigned int find_function(const char *name)
{
    static const unsigned int behind[] = {
        /* bytes behind struct btf_type, fixed and for each member */
        [BTF_KIND_INT] = 4, [BTF_KIND_ARRAY] = 12, [BTF_KIND_VAR] = 4, [BTF_KIND_DECL_TAG] = 4, [31] = 0,
    };
    static const unsigned int each[] = {
        [BTF_KIND_STRUCT] = 12,
        [BTF_KIND_UNION] = 12,
        [BTF_KIND_ENUM] = 8,
        [BTF_KIND_FUNC_PROTO] = 8,
        [BTF_KIND_DATASEC] = 12,
        [19] = 12 /* ENUM64 */,
        [31] = 0,
    };
    int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY);
    size_t room = 16 << 20, size = 0;
    char *data = malloc(room);
    ssize_t got;

    while (fd >= 0 && (got = read(fd, data + size, room - size)) > 0)
        size += (size_t)got;
    struct btf_header *head = (void *)data;
    char *at = data + head->hdr_len + head->type_off, *strings = data + head->hdr_len + head->str_off;

    for (unsigned int id = 1; size && at < data + head->hdr_len + head->type_off + head->type_len; id++) {
        struct btf_type *type = (void *)at;
        unsigned int kind = BTF_INFO_KIND(type->info);

        if (kind == BTF_KIND_FUNC && strcmp(strings + type->name_off, name) == 0)
            return id;
        at += sizeof(*type) + behind[kind] + each[kind] * BTF_INFO_VLEN(type->info);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct bpf_insn code[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
        { .code = BPF_JMP | BPF_EXIT },
    };
    union bpf_attr attr;
    int xdp = argc > 1 && strcmp(argv[1], "xdp") == 0, program, link;

    memset(&attr, 0, sizeof(attr));
    attr.prog_type = xdp ? BPF_PROG_TYPE_XDP : BPF_PROG_TYPE_TRACING;
    attr.insns = (unsigned long)code;
    attr.insn_cnt = 2;
    attr.license = (unsigned long)"GPL";
    attr.log_buf = (unsigned long)log_text;
    attr.log_size = sizeof(log_text);
    attr.log_level = 1;
    if (xdp) {
        code[0].imm = 2; /* XDP_PASS */
    } else {
        attr.expected_attach_type = BPF_TRACE_FENTRY;
        attr.attach_btf_id = argc > 2 ? find_function(argv[2]) : 0;
    }
    program = bpf(BPF_PROG_LOAD, &attr);
    if (program < 0)
        return fail("load");
    memset(&attr, 0, sizeof(attr));
    if (xdp) {
        attr.link_create.prog_fd = (unsigned int)program;
        attr.link_create.target_ifindex = if_nametoindex("lo");
        attr.link_create.attach_type = BPF_XDP;
        link = bpf(BPF_LINK_CREATE, &attr);
    } else {
        attr.raw_tracepoint.prog_fd = (unsigned int)program;
        link = bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
    }
    if (link < 0)
        return fail("attach");
    printf("bpf: attached\n");
    fflush(stdout);
    for (;;)
        pause();
}
