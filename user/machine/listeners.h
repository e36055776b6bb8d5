/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* TCP listeners, here and in other network namespaces, from /proc. */
#ifndef SYNWARD_LISTENERS_H
#define SYNWARD_LISTENERS_H

struct listeners_elsewhere {
	int namespaces; /* others than the caller's that have listeners */
	char pid[256];	/* of a process in one of them */
};

/* IPv4 and IPv6 listeners in the namespace of that process, or of "thread-self". */
int listeners_count(const char *pid);

struct listeners_elsewhere listeners_elsewhere(void);

#endif
