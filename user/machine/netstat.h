/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The kernel's own counters of this network namespace, as nstat shows them. */
#ifndef SYNWARD_NETSTAT_H
#define SYNWARD_NETSTAT_H

#include <linux/types.h>

/* file: "snmp" or "netstat"; group and name as in "Tcp", "PassiveOpens". -ENOENT: there is none. */
int netstat_read(const char *file, const char *group, const char *name, __u64 *ret);

#endif
