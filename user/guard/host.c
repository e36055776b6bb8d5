// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "flowset.h"
#include "host.h"
#include "path.h"
#include "say.h"

#define START_TRIES 10

/* A map of libbpf's for constants: frozen, and each object has its own. */
static bool is_constants(const struct bpf_map *map)
{
	return bpf_map__is_internal(map);
}

int host_maps_add(struct host_maps *maps, const char *name, int fd)
{
	if (maps->count == HOST_MAPS_MAX) {
		close(fd);
		return -E2BIG;
	}
	snprintf(maps->map[maps->count].name, sizeof(maps->map[0].name), "%s", name);
	maps->map[maps->count++].fd = fd;
	return 0;
}

int host_maps_fd(const struct host_maps *maps, const char *name)
{
	int i;

	for (i = 0; i < maps->count; i++) {
		if (!strcmp(maps->map[i].name, name))
			return maps->map[i].fd;
	}
	return -ENOENT;
}

void host_maps_close(struct host_maps *maps)
{
	while (maps->count)
		close(maps->map[--maps->count].fd);
}

static int add_map_by_id(struct host_maps *maps, __u32 id)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);
	int fd = bpf_map_get_fd_by_id(id);

	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &length)) {
		close(fd);
		return -errno;
	}
	return host_maps_add(maps, info.name, fd);
}

int host_maps_of(int prog_fd, struct host_maps *ret)
{
	__u32 ids[HOST_MAPS_MAX];
	struct bpf_prog_info info = {
		.nr_map_ids = HOST_MAPS_MAX,
		.map_ids = (__u64)(unsigned long)ids,
	};
	struct host_maps maps = {};
	__u32 length = sizeof(info), i;
	int err = 0;

	if (bpf_obj_get_info_by_fd(prog_fd, &info, &length))
		return -errno;
	if (info.nr_map_ids > HOST_MAPS_MAX)
		return -E2BIG;
	for (i = 0; !err && i < info.nr_map_ids; i++)
		err = add_map_by_id(&maps, ids[i]);
	if (err) {
		host_maps_close(&maps);
		return err;
	}
	*ret = maps;
	return 0;
}

int host_maps_keep(const struct host *host, struct host_maps *ret)
{
	struct host_maps maps = {};
	struct bpf_map *map;
	int err = 0, fd;

	bpf_object__for_each_map(map, host->base)
	{
		if (err || is_constants(map))
			continue;
		fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 0);
		err = fd < 0 ? -errno : host_maps_add(&maps, bpf_map__name(map), fd);
	}
	if (err) {
		host_maps_close(&maps);
		return err;
	}
	*ret = maps;
	return 0;
}

static bool same_shape(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &length) && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) &&
	       info.value_size == bpf_map__value_size(map) &&
	       info.max_entries == bpf_map__max_entries(map);
}

int host_maps_info(const struct host_maps *maps, struct sw_info *ret)
{
	int fd = host_maps_fd(maps, "info");
	struct sw_info info;
	__u32 zero = 0;

	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &info) || info.abi != SW_ABI)
		return -EPROTO;
	*ret = info;
	return 0;
}

/*
 * What each path reads in its own way, or has to itself: the old programs go on with theirs
 * until the new ones have taken over. `config` is among them because ports left out of it are
 * how one of two programs on a hook is told to let all by.
 */
static bool is_paths_own(const char *name)
{
	static const char *const own[] = {"config", "info", "listeners", "starts", "closed"};
	size_t i;

	for (i = 0; i < sizeof(own) / sizeof(*own); i++) {
		if (!strcmp(name, own[i]))
			return true;
	}
	return false;
}

/* What of maps is to be the map of an object, or -ENOENT for a map made afresh. */
static int map_to_reuse(const struct bpf_map *map, const struct host_maps *maps, bool changed)
{
	if (is_constants(map) || (changed && is_paths_own(bpf_map__name(map))))
		return -ENOENT;
	return host_maps_fd(maps, bpf_map__name(map));
}

/* All of them or none: half of another version's maps would be worse than a fresh start. */
static bool can_reuse(const struct bpf_object *obj, const struct host_maps *maps, bool changed)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		int fd = map_to_reuse(map, maps, changed);

		if (fd < 0 ? !changed && !is_constants(map) : !same_shape(map, fd))
			return false;
	}
	return true;
}

static int reuse_maps(struct bpf_object *obj, const struct host_maps *maps, bool changed)
{
	struct bpf_map *map;
	int err, fd;

	bpf_object__for_each_map(map, obj)
	{
		fd = map_to_reuse(map, maps, changed);
		err = fd < 0 ? 0 : bpf_map__reuse_fd(map, fd);
		if (err)
			return err;
	}
	return 0;
}

/* The table that runs keeps its size: another one would be empty. */
static int size_flows(struct bpf_object *obj, const struct host_maps *maps, __u32 flows,
		      struct why *why)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, "flows");
	int fd = map && maps ? host_maps_fd(maps, "flows") : -ENOENT;
	struct bpf_map_info info = {};
	__u32 length = sizeof(info), running;

	if (map && fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &length)) {
		running = info.max_entries * SW_FLOWS_A_SET;
		if (flows && sw_flow_sets(flows) != info.max_entries)
			return why_is(
				why, -EBUSY,
				"the table of flows has room for %u, which cannot change while "
				"it runs; detach first",
				running);
		flows = running;
	}
	return map && flows ? bpf_map__set_max_entries(map, sw_flow_sets(flows)) : 0;
}

__u32 host_flow_sets(const struct host *host)
{
	struct bpf_map *map = bpf_object__find_map_by_name(host->base, "flows");

	return map ? bpf_map__max_entries(map) : 0;
}

int host_load(struct host *host, enum sw_path path, const struct host_maps *maps, __u32 flows,
	      struct why *why)
{
	struct bpf_object *obj = object_open(path);
	bool reused, changed;
	struct sw_info info;
	struct why lacks;
	int err;

	if (!obj)
		return why_is(why, -errno, "cannot open the BPF programs: %s", strerror(errno));
	err = size_flows(obj, maps, flows, why);
	if (err) {
		bpf_object__close(obj);
		return err;
	}
	object_autoload(obj, OBJECT_XDP, false);
	object_autoload(obj, OBJECT_FORWARD, false);
	object_autoload(obj, OBJECT_HAND, !path_possible(SW_PATH_HOST, &lacks));
	reused = maps && !host_maps_info(maps, &info);
	changed = reused && info.path != path;
	reused = reused && can_reuse(obj, maps, changed);
	err = reused ? reuse_maps(obj, maps, changed) : 0;
	if (!err)
		err = bpf_object__load(obj);
	if (err) {
		bpf_object__close(obj);
		return why_is(why, err,
			      "the kernel refused the programs: %s; -v shows the verifier's log",
			      strerror(-err));
	}
	host->base = obj;
	host->path = path;
	host->reused = reused;
	host->changed = reused && changed;
	return 0;
}

/*
 * Native mode takes frames in fragments, or drivers refuse large MTUs. In generic mode a
 * program that does gets frames copied by skb_pp_cow_data() (net/core/skbuff.c, Linux
 * 6.18), which loses mac_len: tc ingress would see them without their Ethernet header and
 * miss the hand-over. Without the flag they are made linear.
 */
static void choose_fragments(struct bpf_program *xdp, enum sw_xdp_mode mode)
{
	__u32 flags = bpf_program__flags(xdp) & ~BPF_F_XDP_HAS_FRAGS;

	bpf_program__set_flags(xdp, mode == SW_XDP_NATIVE ? flags | BPF_F_XDP_HAS_FRAGS : flags);
}

int host_open_xdp(const struct host *host, const char *name, enum sw_xdp_mode mode,
		  struct bpf_object **ret)
{
	struct bpf_object *obj = object_open(host->path);
	struct bpf_program *prog;
	struct bpf_map *map;
	int err;

	if (!obj)
		return -errno;
	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
	choose_fragments(bpf_object__find_program_by_name(obj, name), mode);
	bpf_object__for_each_map(map, obj)
	{
		if (is_constants(map))
			continue;
		err = bpf_map__reuse_fd(map, object_map(host->base, bpf_map__name(map)));
		if (err) {
			bpf_object__close(obj);
			return err;
		}
	}
	*ret = obj;
	return 0;
}

static int run_start(const struct host *host, struct why *why)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);
	int err;

	err = bpf_prog_test_run_opts(object_program(host->base, OBJECT_START), &run);
	if (err)
		return why_is(why, -errno, "cannot run the start program: %s", strerror(errno));
	err = (int)run.retval;
	if (err)
		return why_is(why, err, "cannot read the kernel's table of sockets: %s",
			      strerror(-err));
	return 0;
}

int host_start(const struct host *host, struct why *why)
{
	int err, tries = START_TRIES;

	/* -ENOENT: sockets moved while they were read, which a busy machine's do. */
	do {
		err = run_start(host, why);
	} while (err == -ENOENT && --tries);
	return err;
}

void host_close(struct host *host)
{
	bpf_object__close(host->base);
	host->base = NULL;
}
