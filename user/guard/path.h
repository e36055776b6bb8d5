/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which of the paths (enum sw_path) this kernel can go: by asking it for what each needs,
 * never by its version.
 */
#ifndef SYNWARD_PATH_H
#define SYNWARD_PATH_H

#include "abi.h"
#include "why.h"

enum { PATH_AUTO = 0 }; /* beside enum sw_path: the first that the kernel can go */

const char *path_name(enum sw_path path);

/* 0, or -EOPNOTSUPP and the first thing the kernel lacks for it. */
int path_possible(enum sw_path path, struct why *why);

/*
 * The path to go; asked: an enum sw_path or PATH_AUTO. ret_lacks says what the first one
 * lacks if another was taken, else it is empty.
 */
int path_choose(int asked, enum sw_path *ret, struct why *ret_lacks, struct why *why);

#endif
