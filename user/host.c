// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "host.h"
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

	bpf_object__for_each_map(map, host->base->obj)
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

static bool same_abi(const struct host_maps *maps)
{
	int fd = host_maps_fd(maps, "info");
	struct sw_info info;
	__u32 zero = 0;

	return fd >= 0 && !bpf_map_lookup_elem(fd, &zero, &info) && info.abi == SW_ABI;
}

/* All of them or none: half of another version's maps would be worse than a fresh start. */
static bool can_reuse(const struct host_bpf *skel, const struct host_maps *maps)
{
	struct bpf_map *map;

	if (!maps || !same_abi(maps))
		return false;
	bpf_object__for_each_map(map, skel->obj)
	{
		int fd = is_constants(map) ? 0 : host_maps_fd(maps, bpf_map__name(map));

		if (!is_constants(map) && (fd < 0 || !same_shape(map, fd)))
			return false;
	}
	return true;
}

static int reuse_maps(struct host_bpf *skel, const struct host_maps *maps)
{
	struct bpf_map *map;
	int err;

	bpf_object__for_each_map(map, skel->obj)
	{
		if (is_constants(map))
			continue;
		err = bpf_map__reuse_fd(map, host_maps_fd(maps, bpf_map__name(map)));
		if (err)
			return err;
	}
	return 0;
}

/* The coarse clocks move once a tick, so that is their resolution: 1e9 / HZ. */
static __u64 tick_ns(void)
{
	struct timespec t;

	return clock_getres(CLOCK_MONOTONIC_COARSE, &t) ? 4000000 : t.tv_nsec;
}

static struct host_bpf *open_skeleton(void)
{
	struct host_bpf *skel;
	int cpus = libbpf_num_possible_cpus();

	/* Of libbpf's own handler the flag for fragments could not be taken back. */
	libbpf_register_prog_handler("xdp.frags", BPF_PROG_TYPE_XDP, BPF_XDP, NULL);
	skel = host_bpf__open();
	if (!skel || cpus < 1)
		goto fail;
	if (bpf_map__set_max_entries(skel->maps.listeners, SW_LISTENER_SLOTS * cpus))
		goto fail;
	skel->rodata->sw_tick_ns = tick_ns();
	return skel;
fail:
	host_bpf__destroy(skel);
	return NULL;
}

int host_load(struct host *host, const struct host_maps *maps, struct why *why)
{
	struct host_bpf *skel = open_skeleton();
	bool reused;
	int err;

	if (!skel)
		return why_is(why, -errno, "cannot open the BPF programs: %s", strerror(errno));
	bpf_program__set_autoload(skel->progs.synward_xdp, false);
	reused = can_reuse(skel, maps);
	err = reused ? reuse_maps(skel, maps) : 0;
	if (!err)
		err = host_bpf__load(skel);
	if (err) {
		host_bpf__destroy(skel);
		return why_is(why, err,
			      "the kernel refused the programs: %s; -v shows the verifier's log",
			      strerror(-err));
	}
	host->base = skel;
	host->reused = reused;
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

int host_open_xdp(const struct host *host, enum sw_xdp_mode mode, struct host_bpf **ret)
{
	struct host_bpf *skel = open_skeleton();
	struct bpf_map *map, *shared;
	int err;

	if (!skel)
		return -errno;
	bpf_program__set_autoload(skel->progs.synward_tc, false);
	bpf_program__set_autoload(skel->progs.synward_start, false);
	choose_fragments(skel->progs.synward_xdp, mode);
	bpf_object__for_each_map(map, skel->obj)
	{
		if (is_constants(map))
			continue;
		shared = bpf_object__find_map_by_name(host->base->obj, bpf_map__name(map));
		err = bpf_map__reuse_fd(map, bpf_map__fd(shared));
		if (err) {
			host_bpf__destroy(skel);
			return err;
		}
	}
	*ret = skel;
	return 0;
}

static int run_start(const struct host *host, struct why *why)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);
	int err;

	err = bpf_prog_test_run_opts(bpf_program__fd(host->base->progs.synward_start), &run);
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
	host_bpf__destroy(host->base);
	host->base = NULL;
}
