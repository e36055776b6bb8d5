/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Files of prefixes, one a line, for allow and deny; # begins a comment. */
#ifndef SYNWARD_LISTS_H
#define SYNWARD_LISTS_H

#include "why.h"

#define LISTS_PREFIXES_MAX 1000000

/*
 * Reads the files (NULL or "": none) into a trie of its own, which no packet sees before
 * services_apply(). *ret_fd is -1 if both are none. why names file and line: no prefix, one
 * in both files ... A file may repeat a prefix.
 */
int lists_load(const char *allow_path, const char *deny_path, int *ret_fd, struct why *why);

#endif
