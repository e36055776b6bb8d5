/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Numbers below /proc/sys; those of net are this namespace's. name as in "net/ipv4/tcp_sack". */
#ifndef SYNWARD_SYSCTL_H
#define SYNWARD_SYSCTL_H

/* -ENOENT: no such setting in this kernel or namespace. */
int sysctl_read(const char *name, int *ret);
int sysctl_write(const char *name, int value);

#endif
