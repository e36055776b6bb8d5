/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Pins: what keeps a guard's maps and links alive in bpffs without a process. */
#ifndef SYNWARD_PINS_H
#define SYNWARD_PINS_H

#include <sys/types.h>

#include "guard.h"

/* Mounts bpffs where it belongs if nothing did. */
int pins_mount(struct why *why);

/*
 * One attach or detach at a time, on the whole machine. Returns a descriptor to close.
 * The lock is on the mount's root: a directory of ours would come and go.
 */
int pins_lock(struct why *why);

/* -EAGAIN: another has it. For a process that must not stand still. */
int pins_trylock(struct why *why);

int pins_make_directory(const struct guard *g);

/* Pins under that name; what had the name before is replaced in one step. */
int pins_put(const struct guard *g, const char *name, int fd, mode_t mode);

int pins_open(const struct guard *g, const char *name);
int pins_open_readonly(const struct guard *g, const char *name);
int pins_drop(const struct guard *g, const char *name);

/* Removes every pin, the directory, and GUARD_ROOT if that was the last one. */
int pins_drop_all(const struct guard *g);

#endif
