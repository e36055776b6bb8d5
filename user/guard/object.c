// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "object.h"
#include "bpf/compat.skel.h"
#include "bpf/host.skel.h"
#include "bpf/proxy.skel.h"

static const void *(*const images[])(size_t *ret_size) = {
	[SW_PATH_HOST] = host_bpf__elf_bytes,
	[SW_PATH_COMPAT] = compat_bpf__elf_bytes,
	[SW_PATH_PROXY] = proxy_bpf__elf_bytes,
};

#define LOOP_STEPS 16384 /* the most that a loop of the programs takes */

/* The coarse clocks move once a tick, so that is their resolution: 1e9 / HZ. */
static __u64 tick_ns(void)
{
	struct timespec t;

	return clock_getres(CLOCK_MONOTONIC_COARSE, &t) ? 4000000 : t.tv_nsec;
}

/* Where a const volatile of the programs lies in their read-only data. */
static int constant_offset(const struct btf *btf, const char *name, __u32 size)
{
	int id = btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC), i;
	const struct btf_type *section = id < 0 ? NULL : btf__type_by_id(btf, id);
	const struct btf_var_secinfo *var = section ? btf_var_secinfos(section) : NULL;

	for (i = 0; section && i < btf_vlen(section); i++, var++) {
		const struct btf_type *type = btf__type_by_id(btf, var->type);

		if (var->size == size && !strcmp(btf__name_by_offset(btf, type->name_off), name))
			return var->offset;
	}
	return -ENOENT;
}

int object_constant(struct bpf_object *obj, const char *name, const void *value, __u32 size)
{
	struct bpf_map *rodata = bpf_object__find_map_by_name(obj, ".rodata");
	int offset = constant_offset(bpf_object__btf(obj), name, size);
	const void *initial;
	size_t length;
	char *image;
	int err;

	if (offset < 0 || !rodata)
		return -ENOENT;
	initial = bpf_map__initial_value(rodata, &length);
	if (!initial || offset + size > length)
		return -EINVAL;
	image = malloc(length);
	if (!image)
		return -ENOMEM;
	memcpy(image, initial, length);
	memcpy(image + offset, value, size);
	err = bpf_map__set_initial_value(rodata, image, length);
	free(image);
	return err;
}

/* The caches that each CPU has one of; which there are depends on the path. */
static int size_caches(struct bpf_object *obj)
{
	static const char *const cache[] = {"listeners", "starts"};
	int cpus = libbpf_num_possible_cpus(), err = 0;
	struct bpf_map *map;
	size_t i;

	if (cpus < 1)
		return cpus ?: -EINVAL;
	for (i = 0; !err && i < sizeof(cache) / sizeof(*cache); i++) {
		map = bpf_object__find_map_by_name(obj, cache[i]);
		if (map)
			err = bpf_map__set_max_entries(map, SW_LISTENER_SLOTS * cpus);
	}
	return err;
}

int object_steps(struct bpf_object *obj)
{
	struct bpf_map *steps = bpf_object__find_map_by_name(obj, "steps");

	return steps ? bpf_map__set_max_entries(steps, LOOP_STEPS) : 0;
}

static int prepare(struct bpf_object *obj)
{
	__u64 tick = tick_ns();
	int err = size_caches(obj);

	if (!err && !libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_loop, NULL))
		err = object_steps(obj);
	return err ?: object_constant(obj, "sw_tick_ns", &tick, sizeof(tick));
}

struct bpf_object *object_open(enum sw_path path)
{
	struct bpf_object *obj;
	const void *image;
	size_t size;
	int err;

	/* Of libbpf's own handler the flag for fragments could not be taken back. */
	libbpf_register_prog_handler("xdp.frags", BPF_PROG_TYPE_XDP, BPF_XDP, NULL);
	image = images[path](&size);
	obj = bpf_object__open_mem(image, size, NULL);
	if (!obj)
		return NULL;
	err = prepare(obj);
	if (!err)
		return obj;
	bpf_object__close(obj);
	errno = -err;
	return NULL;
}

int object_map(const struct bpf_object *obj, const char *name)
{
	return bpf_object__find_map_fd_by_name(obj, name);
}

int object_program(const struct bpf_object *obj, const char *name)
{
	const struct bpf_program *prog = bpf_object__find_program_by_name(obj, name);

	return prog ? bpf_program__fd(prog) : -ENOENT;
}

void object_autoload(struct bpf_object *obj, const char *name, bool on)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, name);

	if (prog)
		bpf_program__set_autoload(prog, on);
}
