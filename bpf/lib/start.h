/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What cookies of this epoch to one server start from (headers/cookie.h), beside its
 * listener's entry. A map of its own because it is as secret as the key: never pinned.
 */
#ifndef SYNWARD_BPF_START_H
#define SYNWARD_BPF_START_H

#include "listener.h"

struct sw_start {
	struct sw_cookie_start start;
	__u64 pad[3];
};
_Static_assert(sizeof(struct sw_start) == 64, "a start is one cache line");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SW_LISTENER_SLOTS); /* times the number of CPUs: set by the loader */
	__type(key, __u32);
	__type(value, struct sw_start);
} starts SEC(".maps");

/*
 * False: *ret, where cookies to the server start from whose listener is cached there, is not of
 * this epoch. NULL never, in practice.
 */
static __always_inline bool sw_start_find(__u32 at, const struct sw_config *cfg, __u64 now_ns,
					  const struct sw_cookie_start **ret)
{
	struct sw_start *slot = bpf_map_lookup_elem(&starts, &at);

	*ret = slot ? &slot->start : NULL;
	return slot && slot->start.epoch == sw_epoch(now_ns + cfg->epoch_offset_ns);
}

/* With each reading of t's listener. */
__noinline int sw_start_make(const struct sw_tuple *t, __u64 now_ns)
{
	const struct sw_secrets *secret = SW_THE(secrets);
	const struct sw_config *cfg = SW_THE(config);
	struct sw_start *slot;
	__u32 at;

	if (!secret || !cfg || !t)
		return 0;
	at = sw_listener_at(t, secret->hash_seed[0]);
	slot = bpf_map_lookup_elem(&starts, &at);
	if (slot)
		sw_cookie_start(&secret->cookie, t, sw_epoch(now_ns + cfg->epoch_offset_ns), &slot->start);
	return 0;
}

#endif
