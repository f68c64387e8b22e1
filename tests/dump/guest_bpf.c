/* SPDX-License-Identifier: MIT */
/*
 * bpf CGROUP: loads a socket filter and a cgroup program, attaches both, and
 * leaves a process behind that keeps them.  For the guest of the dump tests,
 * whose busybox has no such tool.  bpf(2), include/uapi/linux/bpf.h.
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* r0 = result; exit */
static int load(enum bpf_prog_type type, enum bpf_attach_type attach, int result)
{
    struct bpf_insn code[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = result },
        { .code = BPF_JMP | BPF_EXIT },
    };
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.prog_type = type;
    attr.expected_attach_type = attach;
    attr.insns = (uint64_t)(uintptr_t)code;
    attr.insn_cnt = 2;
    attr.license = (uint64_t)(uintptr_t)"MIT";
    return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static int attach_to(int cgroup, int program, enum bpf_attach_type type)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    attr.target_fd = (uint32_t)cgroup;
    attr.attach_bpf_fd = (uint32_t)program;
    attr.attach_type = type;
    return (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr));
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

int main(int argc, char **argv)
{
    int cgroup = open(argc > 1 ? argv[1] : "", O_RDONLY | O_DIRECTORY);
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    int filter = load(BPF_PROG_TYPE_SOCKET_FILTER, 0, 0);
    int skb = load(BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, 1);

    if (cgroup < 0)
        return fail("the cgroup");
    if (udp < 0 || filter < 0 || skb < 0)
        return fail("a BPF program");
    if (setsockopt(udp, SOL_SOCKET, SO_ATTACH_BPF, &filter, sizeof(filter)))
        return fail("SO_ATTACH_BPF");
    if (attach_to(cgroup, skb, BPF_CGROUP_INET_INGRESS))
        return fail("BPF_PROG_ATTACH");
    printf("a socket filter and cgroup program are attached\n");
    fflush(stdout);
    if (fork() == 0)
        pause();
    return 0;
}
