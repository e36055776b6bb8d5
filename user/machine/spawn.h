/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SYNWARD_SPAWN_H
#define SYNWARD_SPAWN_H

/*
 * Runs a program and returns what it wrote to stdout, to be freed. -ENOENT: not
 * installed; -EIO: it failed. Its stderr is dropped.
 */
int spawn_read(const char *const argv[], char **ret_text);

#endif
