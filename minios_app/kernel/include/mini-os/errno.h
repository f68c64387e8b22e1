/* SPDX-License-Identifier: MIT */
/*
 * The numbers of Xen's public errno.h, which are Linux's, under their plain
 * names; as many as are used here or in Xen's xs_wire.h.
 */
#ifndef MINIOS_ERRNO_H
#define MINIOS_ERRNO_H

#define EPERM      1
#define ENOENT     2
#define ESRCH      3
#define EINTR      4
#define EIO        5
#define E2BIG      7
#define EAGAIN     11
#define ENOMEM     12
#define EACCES     13
#define EFAULT     14
#define EBUSY      16
#define EEXIST     17
#define ENODEV     19
#define EISDIR     21
#define EINVAL     22
#define ENOSPC     28
#define EROFS      30
#define ERANGE     34
#define ENOSYS     38
#define ENOTEMPTY  39
#define ETIME      62
#define EOPNOTSUPP 95
#define EISCONN    106
#define ETIMEDOUT  110

#endif
