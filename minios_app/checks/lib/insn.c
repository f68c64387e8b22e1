/* SPDX-License-Identifier: MIT */
/*
 * Instruction lengths (Intel SDM volume 2, chapter 2 and appendix A).  The same
 * as tinyvmi_build/checks/text/insn.py, which the tests compare it with.
 */
#include "insn.h"

/* A bit for each opcode, from tables. */
static const uint32_t modrm1[8] = { 0x0f0f0f0f, 0x0f0f0f0f, 0x00000000, 0x00000a08,
                                    0x0000fffb, 0x00000000, 0xff0f00c3, 0xc0c00000 };
static const uint32_t imm8_1[8] = { 0x10101010, 0x10101010, 0x00000000, 0xffff0c00,
                                    0x00000009, 0x00ff0100, 0x00002043, 0x000008ff };
static const uint32_t immz_1[8] = { 0x20202020, 0x20202020, 0x00000000, 0x00000300,
                                    0x00000002, 0x00000200, 0x00000080, 0x00000000 };
static const uint32_t invalid1[8] = { 0xc0c040c0, 0x80808080, 0x00000000, 0x00000003,
                                      0x04000004, 0x00000000, 0x00704000, 0x00000400 };
static const uint32_t no_modrm2[8] = { 0x00004be0, 0x00bf0000, 0x00000000, 0x00800000,
                                       0x0000ffff, 0x00000707, 0x0000ff00, 0x00000000 };
static const uint32_t invalid2[8] = { 0x00001410, 0xfa4000f0, 0x00000000, 0x00000000,
                                      0x00000000, 0x000000c0, 0x00000000, 0x00000000 };
static const uint32_t imm8_2[8] = { 0x00008000, 0x00000000, 0x00000000, 0x000f0000,
                                    0x00000000, 0x04001010, 0x00000074, 0x00000000 };

struct reader {
    const uint8_t *code;
    uint32_t at, room;
    bool cut;
};

static bool in(const uint32_t map[8], uint8_t opcode)
{
    return map[opcode / 32] >> opcode % 32 & 1;
}

static uint8_t peek(struct reader *r, uint32_t ahead)
{
    if (r->at + ahead >= r->room) {
        r->cut = true;
        return 0;
    }
    return r->code[r->at + ahead];
}

static uint8_t next(struct reader *r)
{
    uint8_t byte = peek(r, 0);

    r->at++;
    return byte;
}

static bool is_prefix(uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3: return true;
    }
    return false;
}

static void read_modrm(struct reader *r, bool always_registers, struct tv_insn *insn)
{
    uint8_t modrm = next(r), mod = modrm >> 6, base = modrm & 7;

    if (mod == 3 || always_registers)
        return;
    if ((modrm & 7) == 4)
        base = next(r) & 7;
    if (mod == 1)
        insn->disp_size = 1;
    else if (mod == 2 || base == 5)
        insn->disp_size = 4;
    insn->rip_relative = mod == 0 && (modrm & 7) == 5;
}

static bool finish(struct reader *r, bool has_modrm, bool always_registers, uint32_t imm,
                   struct tv_insn *insn)
{
    if (has_modrm)
        read_modrm(r, always_registers, insn);
    insn->disp_at = (uint8_t)r->at;
    r->at += insn->disp_size;
    insn->imm_at = (uint8_t)r->at;
    insn->imm_size = (uint8_t)imm;
    r->at += imm;
    insn->length = (uint8_t)r->at;
    return !r->cut && r->at <= r->room && r->at <= TV_INSN_MAX;
}

static bool two_byte(struct reader *r, struct tv_insn *insn)
{
    uint8_t second = next(r);

    if (second == 0x38 || second == 0x3a) {
        next(r);
        return finish(r, true, false, second == 0x3a, insn);
    }
    if (in(invalid2, second))
        return false;
    insn->branches = second >= 0x80 && second <= 0x8f;
    return finish(r, !in(no_modrm2, second), second >= 0x20 && second <= 0x23,
                  insn->branches ? 4 : in(imm8_2, second), insn);
}

/* VEX and EVEX. */
static bool vex(struct reader *r, uint8_t first, struct tv_insn *insn)
{
    uint32_t map = 1, opcode;

    if (first != 0xc5)
        map = first == 0xc4 ? peek(r, 1) & 0x1f : peek(r, 1) & 7;
    r->at += first == 0xc5 ? 2 : first == 0xc4 ? 3 : 4;
    opcode = next(r);
    if (map < 1 || map > 3)
        return false;
    return finish(r, map != 1 || opcode != 0x77, false, map == 3 || (map == 1 && in(imm8_2, (uint8_t)opcode)),
                  insn);
}

static uint32_t immediate(struct reader *r, uint8_t first, bool wide, bool small, bool address32)
{
    uint32_t z = small && !wide ? 2 : 4;

    if (first >= 0xb8 && first <= 0xbf)
        return wide ? 8 : z;
    if (first == 0xe8 || first == 0xe9)
        return 4;
    if (first >= 0xa0 && first <= 0xa3)
        return address32 ? 4 : 8;
    if (first == 0xc2 || first == 0xca)
        return 2;
    if (first == 0xc8)
        return 3;
    if (first == 0xf6 || first == 0xf7)
        return peek(r, 0) >> 3 & 6 ? 0 : first == 0xf6 ? 1 : z;
    return in(imm8_1, first) ? 1 : in(immz_1, first) ? z : 0;
}

bool tv_insn_decode(const uint8_t *code, uint32_t room, struct tv_insn *insn)
{
    struct reader r = { .code = code, .room = room };
    bool small = false, address32 = false, wide = false;
    uint8_t first;

    memset(insn, 0, sizeof(*insn));
    for (; is_prefix(first = peek(&r, 0)); r.at++) {
        small = small || first == 0x66;
        address32 = address32 || first == 0x67;
        if (r.cut || r.at >= TV_INSN_MAX)
            return false;
    }
    if ((first & 0xf0) == 0x40) {
        wide = first & 8;
        r.at++;
        first = peek(&r, 0);
    }
    if (first == 0xc4 || first == 0xc5 || first == 0x62)
        return vex(&r, first, insn);
    r.at++;
    if (first == 0x0f)
        return two_byte(&r, insn);
    if (in(invalid1, first))
        return false;
    insn->branches = (first >= 0x70 && first <= 0x7f) || first == 0xe8 || first == 0xe9 || first == 0xeb;
    return finish(&r, in(modrm1, first), false, immediate(&r, first, wide, small, address32), insn);
}

static void move_field(uint8_t *field, uint32_t size, uint32_t next_at, uint32_t range, uint64_t by)
{
    int32_t v;
    int64_t target;

    if (size != 4)
        return; /* of one byte: within the range, or the kernel would not have copied it */
    memcpy(&v, field, sizeof(v));
    target = (int64_t)next_at + v;
    if (target >= 0 && target < (int64_t)range)
        return;
    v = (int32_t)((uint32_t)v + (uint32_t)by);
    memcpy(field, &v, sizeof(v));
}

bool tv_insn_move(uint8_t *code, uint32_t size, uint64_t from, uint64_t to)
{
    struct tv_insn insn;
    uint32_t at = 0;

    while (at < size) {
        uint32_t next_at;

        if (!tv_insn_decode(code + at, size - at, &insn))
            return false;
        next_at = at + insn.length;
        if (insn.rip_relative)
            move_field(code + at + insn.disp_at, insn.disp_size, next_at, size, from - to);
        if (insn.branches)
            move_field(code + at + insn.imm_at, insn.imm_size, next_at, size, from - to);
        at = next_at;
    }
    return at == size;
}
