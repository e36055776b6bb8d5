// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "suite/tables.h"
#include "../headers/abi.h"
#include "../headers/flowset.h"

int table_fill(const char *path)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info), *key = NULL, entries;
	uint64_t *ones = NULL;
	int fd = bpf_obj_get(path), r = fd < 0 ? fd : bpf_obj_get_info_by_fd(fd, &info, &length);

	if (!r) {
		key = calloc(info.max_entries, sizeof(*key));
		ones = malloc(info.max_entries * sizeof(*ones));
		r = key && ones && info.value_size == sizeof(*ones) ? 0 : -EINVAL;
	}
	for (uint32_t i = 0; !r && i < info.max_entries; i++) {
		key[i] = i;
		ones[i] = ~0ULL;
	}
	entries = info.max_entries;
	if (!r)
		r = bpf_map_update_batch(fd, key, ones, &entries, NULL);
	free(key);
	free(ones);
	if (fd >= 0)
		close(fd);
	return r;
}

/* As after the server's SYN-ACK, with timestamps. */
static struct sw_flow flow_established(void)
{
	struct timespec t = {};
	uint32_t now;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = sw_flow_time(t.tv_sec * SW_NS_PER_S + t.tv_nsec);
	return (struct sw_flow){.opened = now,
				.seen = now,
				.seq_delta = 0x12345678,
				.ts_delta = 0x87654321,
				.mss = 1460,
				.client_wscale = 7,
				.told_wscale = 7,
				.server_wscale = 7,
				.flags = SW_FF_TSTAMP | SW_FF_SERVER_TSTAMP | SW_FF_ANSWERED,
				.syns = 1};
}

static int map_info(int fd, struct bpf_map_info *ret)
{
	uint32_t length = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_obj_get_info_by_fd(fd, ret, &length) ? -errno : 0;
}

#define MAPS_MOST 64

/* True if the program uses map `wanted`; *ret_secrets: its map of that name, if it has one. */
static bool program_secrets(int prog, uint32_t wanted, struct sw_secrets *ret_secrets)
{
	uint32_t ids[MAPS_MOST], length = sizeof(struct bpf_prog_info), zero = 0;
	struct bpf_prog_info info = {.nr_map_ids = MAPS_MOST, .map_ids = (uintptr_t)ids};
	bool uses = false, told = false;
	struct bpf_map_info map;
	int fd;

	if (bpf_obj_get_info_by_fd(prog, &info, &length))
		return false;
	for (uint32_t i = 0; i < info.nr_map_ids && i < MAPS_MOST; i++) {
		uses |= ids[i] == wanted;
		fd = bpf_map_get_fd_by_id(ids[i]);
		if (fd < 0)
			continue;
		if (!map_info(fd, &map) && !strcmp(map.name, "secrets") &&
		    map.value_size == sizeof(*ret_secrets))
			told = !bpf_map_lookup_elem(fd, &zero, ret_secrets);
		close(fd);
	}
	return uses && told;
}

/* What the programs that use the table hash tuples with: it is pinned nowhere. */
static int find_seed(uint32_t table, __u64 ret_seed[2])
{
	struct sw_secrets secrets;
	uint32_t id = 0;
	bool found = false;
	int fd;

	while (!found && !bpf_prog_get_next_id(id, &id)) {
		fd = bpf_prog_get_fd_by_id(id);
		if (fd < 0)
			continue;
		found = program_secrets(fd, table, &secrets);
		close(fd);
	}
	if (!found)
		return -ENOENT;
	memcpy(ret_seed, secrets.hash_seed, sizeof(secrets.hash_seed));
	return 0;
}

int table_flows(const char *path, uint32_t clients, const struct sw_tuple *first)
{
	int fd = bpf_obj_get(path), r;
	struct sw_flow_place place = {.tuple = *first, .flow = flow_established()};
	struct sw_flow_set *table = MAP_FAILED, *set;
	uint64_t now_ns = (uint64_t)place.flow.seen << SW_FLOW_TIME_BITS;
	__u64 seed[2], rank[1 + SW_FLOW_WAYS];
	struct bpf_map_info info;
	size_t size = 0;

	r = fd < 0 ? fd : map_info(fd, &info);
	if (!r)
		r = find_seed(info.id, seed);
	if (!r) {
		size = (size_t)info.max_entries * sizeof(*table);
		table = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		r = table == MAP_FAILED ? -errno : 0;
	}
	place.tuple.pad[0] = 1;
	for (uint32_t i = 0; !r && i < clients; i++) {
		place.tuple.saddr_lo = htonl(ntohl((uint32_t)first->saddr_lo) + i);
		uint64_t hash = sw_tuple_hash(&place.tuple, seed);

		set = &table[sw_flow_set_number(hash, info.max_entries - 1)];
		uint32_t way = sw_flow_choose(set, hash, now_ns, rank);

		set->place[way] = place;
		set->tag[way] = sw_flow_tag(hash);
	}
	if (table != MAP_FAILED)
		munmap(table, size);
	if (fd >= 0)
		close(fd);
	return r;
}
