/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The BPF objects built into the command, one a path. They name their maps and programs
 * alike, so that what is not special to a path finds them by name.
 */
#ifndef SYNWARD_OBJECT_H
#define SYNWARD_OBJECT_H

#include <bpf/libbpf.h>

#include "abi.h"

#define OBJECT_XDP   "synward_xdp"
#define OBJECT_TC    "synward_tc"	/* not in every object */
#define OBJECT_FORWARD "synward_forward" /* proxy path: on the --forward interface */
#define OBJECT_HAND "synward_hand" /* proxy path: tc ingress */
#define OBJECT_START "synward_start"

/* An object with its constants set, not loaded yet; NULL and errno on failure. */
struct bpf_object *object_open(enum sw_path path);

/* Before it is loaded: a const volatile of its programs. A negative errno if it has none of that name and size. */
int object_constant(struct bpf_object *obj, const char *name, const void *value, __u32 size);

/* Before it is loaded: room for the steps of loops where the kernel lacks bpf_loop(). */
int object_steps(struct bpf_object *obj);

/* Of an object that is loaded: a descriptor, or a negative errno if it has none of that name. */
int object_map(const struct bpf_object *obj, const char *name);
int object_program(const struct bpf_object *obj, const char *name);

/* Whether that program is loaded with the others; nothing if the object has none of that name. */
void object_autoload(struct bpf_object *obj, const char *name, bool on);

#endif
