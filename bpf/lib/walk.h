/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Rebuilds the presence filter from the kernel's own socket table, so that tuples long
 * closed leave it. A timer does it in small steps and needs no process: clear the spare
 * generation, mark every socket of this namespace in it (established, TIME-WAIT and
 * requests alike), then switch.
 *
 * The table is read without its locks, as the kernel's own lookups do: a chain ends in
 * a nulls marker that names its bucket, a wrong one means that a socket moved while it
 * was looked at. The bucket is then read again; a walk that missed one does not switch.
 */
#ifndef SYNWARD_BPF_WALK_H
#define SYNWARD_BPF_WALK_H

#include "address.h"
#include "known.h"
#include "service.h"
#include "../../headers/tuple.h"

#define SW_CLOCK_MONOTONIC 1

#define SW_WALK_TICK_NS	   100000000ULL /* 100 ms; headers/hysteresis.h counts on it */
#define SW_OWN_TICKS	   10 /* own addresses are collected each second */
#define SW_WALK_TICKS	   256 /* to see all buckets: 26 s */
#define SW_WALK_BUCKETS	   (1U << 23) /* at once, when the loader asks for all: BPF_MAX_LOOPS */
#define SW_CLEAR_PER_TICK  (SW_KNOWN_WORDS / 16)
#define SW_CHAIN_MAX	   128 /* sockets of a bucket, retries included */

struct sw_bucket_walk {
	struct hlist_nulls_head *heads;
	const struct sw_walk *state;
	__u64 net;
	struct hlist_nulls_node *node;
	__u64 seed[2];
	__u32 bucket, mask;
	__u32 generation;
	__u32 sockets;
	__u32 missed;
	__u32 left;
	__u32 count_only;
};

/* Marks one socket if it is of our namespace. */
static __always_inline void sw_walk_socket(struct sw_bucket_walk *w, struct sock_common *skc)
{
	struct sw_tuple t = {};

	if ((__u64)BPF_CORE_READ(skc, skc_net.net) != w->net)
		return;
	w->sockets++;
	if (w->count_only)
		return;
	t.sport = bpf_ntohs(BPF_CORE_READ(skc, skc_dport));
	t.dport = BPF_CORE_READ(skc, skc_num);
	t.saddr_lo = BPF_CORE_READ(skc, skc_daddr);
	t.daddr_lo = BPF_CORE_READ(skc, skc_rcv_saddr);
	if (BPF_CORE_READ(skc, skc_family) == SW_AF_INET6) {
		struct in6_addr remote, mine;
		__u64 r[2], m[2];

		bpf_core_read(&remote, sizeof(remote), &skc->skc_v6_daddr);
		bpf_core_read(&mine, sizeof(mine), &skc->skc_v6_rcv_saddr);
		__builtin_memcpy(r, &remote, 16);
		__builtin_memcpy(m, &mine, 16);
		/* ::ffff:a.b.c.d speaks IPv4 on the wire */
		if (r[0] != 0 || (__u32)r[1] != bpf_htonl(0xffff)) {
			t.family_v6 = 1;
			t.saddr_hi = r[0];
			t.saddr_lo = r[1];
			t.daddr_hi = m[0];
			t.daddr_lo = m[1];
		} else {
			t.saddr_lo = r[1] >> 32;
			t.daddr_lo = m[1] >> 32;
		}
	}
	sw_known_mark(w->state, sw_tuple_hash(&t, w->seed), w->generation);
}

static __always_inline struct hlist_nulls_node *sw_walk_first(const struct sw_bucket_walk *w)
{
	struct hlist_nulls_head *head = w->heads + w->bucket;

	return BPF_CORE_READ(head, first);
}

static long sw_walk_node(__u32 step, void *arg)
{
	struct sw_bucket_walk *w = arg;
	struct hlist_nulls_node *node = w->node;

	if (!node) { /* the read of a pointer faulted */
		w->missed = 1;
		return 1;
	}
	if ((__u64)node & 1) {
		if ((__u64)node >> 1 == w->bucket) {
			w->left = 0;
			return 1;
		}
		w->node = sw_walk_first(w);
		return 0;
	}
	sw_walk_socket(w, (void *)node - bpf_core_field_offset(struct sock_common, skc_nulls_node));
	w->node = BPF_CORE_READ(node, next);
	return 0;
}
SW_LOOP_BODY(sw_walk_node)

static long sw_walk_bucket(__u32 step, void *arg)
{
	struct sw_bucket_walk *w = arg;

	if (w->bucket > w->mask)
		return 1;
	w->node = sw_walk_first(w);
	if ((__u64)w->node != ((__u64)w->bucket << 1 | 1)) {
		w->left = 1;
		sw_loop(SW_CHAIN_MAX, sw_walk_node, w);
		w->missed |= w->left;
	}
	w->bucket++;
	return 0;
}
SW_LOOP_BODY(sw_walk_bucket)

enum sw_walk_kind { SW_WALK_MARK, SW_WALK_COUNT };

/* Walks up to count buckets from walk->position on; count 0: a 256th of all. */
static __always_inline void sw_walk_buckets(struct sw_walk *walk, const struct sw_secrets *secret,
				       __u32 generation, __u32 count, enum sw_walk_kind kind)
{
	struct net *net = (struct net *)walk->net;
	struct inet_hashinfo *info = BPF_CORE_READ(net, ipv4.tcp_death_row.hashinfo);
	struct sw_bucket_walk w = {
		.state = walk,
		.count_only = kind == SW_WALK_COUNT,
		.heads = (struct hlist_nulls_head *)BPF_CORE_READ(info, ehash),
		.net = walk->net,
		.seed = { secret->hash_seed[0], secret->hash_seed[1] },
		.bucket = walk->position,
		.mask = BPF_CORE_READ(info, ehash_mask),
		.generation = generation,
	};

	if (!w.heads || !w.mask) {
		walk->abandoned = 1;
		walk->position = 0;
		walk->phase = SW_WALK_IDLE;
		return;
	}
	if (!count)
		count = w.mask / SW_WALK_TICKS + 1;
	sw_loop(count, sw_walk_bucket, &w);
	walk->abandoned |= w.missed;
	walk->sockets += w.sockets;
	walk->position = w.bucket;
	if (w.bucket > w.mask)
		walk->phase = SW_WALK_IDLE;
}

struct sw_clear {
	__u32 at;
};

static long sw_clear_word(__u32 step, void *arg)
{
	struct sw_clear *c = arg;
	__u32 at = c->at + step;
	__u64 *word = bpf_map_lookup_elem(&known, &at);

	if (word)
		*word = 0;
	return 0;
}
SW_LOOP_BODY(sw_clear_word)

/* For twice the sockets that were counted, a word each, and the tuples that frames added, four a word. */
static __always_inline __u32 sw_walk_mask(__u32 sockets, __u32 added)
{
	__u32 words = SW_KNOWN_WORDS_MIN;

#pragma unroll
	for (int i = 0; i < 4; i++)
		words <<= words < sockets * 2 + added / 4;
	return words - 1;
}

static __always_inline void sw_walk_rewind(struct sw_walk *walk)
{
	walk->building = 0;
	walk->abandoned = 0;
	walk->position = 0;
	walk->sockets = 0;
}

static __always_inline void sw_walk_step(struct sw_walk *walk, const struct sw_secrets *secret)
{
	__u32 spare = (walk->current ^ 1) & 1;
	struct sw_clear clear;

	switch (walk->phase) {
	case SW_WALK_IDLE:
		walk->mask[spare] = sw_walk_mask(walk->sockets, walk->added);
		sw_walk_rewind(walk);
		walk->phase = SW_WALK_CLEAR;
		break;
	case SW_WALK_CLEAR:
		clear.at = spare * SW_KNOWN_WORDS + walk->position;
		sw_loop(SW_CLEAR_PER_TICK, sw_clear_word, &clear);
		walk->position += SW_CLEAR_PER_TICK;
		if (walk->position <= walk->mask[spare])
			break;
		/* From here on hand-overs mark both; the first bucket is read a tick later. */
		walk->position = 0;
		walk->added = 0;
		walk->building = 1;
		walk->phase = SW_WALK_SOCKETS;
		break;
	case SW_WALK_SOCKETS:
		sw_walk_buckets(walk, secret, spare, 0, SW_WALK_MARK);
		if (walk->phase != SW_WALK_IDLE)
			break;
		if (!walk->abandoned)
			walk->current = spare;
		sw_count_event(walk->abandoned ? SW_EV_WALK_ABANDONED : SW_EV_WALK_DONE);
		break;
	}
}

static int sw_walk_tick(void *map, __u32 *key, struct sw_walk_slot *slot)
{
	struct sw_secrets *secret = SW_THE(secrets);

	if (secret)
		sw_walk_step(&slot->walk, secret);
	if (slot->walk.ticks++ % SW_OWN_TICKS == 0)
		sw_own_collect(&slot->walk);
	sw_service_tick(sw_now_ns(&slot->walk));
	bpf_timer_start(&slot->timer, SW_WALK_TICK_NS, 0);
	return 0;
}

/*
 * Run by the loader in the namespace to guard: marks every socket there is, then starts
 * the timer. The timer lives as long as the map `walk` is pinned.
 * Returns 0, or a negative errno: -ENOENT if the socket table cannot be read.
 */
SEC("syscall")
int synward_start(void *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct sw_secrets *secret = SW_THE(secrets);
	struct sw_walk_slot *slot = SW_THE(walk);
	int err;

	if (!slot || !secret)
		return -2;
	slot->walk.clock_offset_ns = bpf_ktime_get_ns() - bpf_jiffies64() * sw_tick_ns;
	slot->walk.net = (__u64)BPF_CORE_READ(task, nsproxy, net_ns);
	if (!slot->walk.mask[0]) {
		sw_walk_rewind(&slot->walk);
		sw_walk_buckets(&slot->walk, secret, 0, SW_WALK_BUCKETS, SW_WALK_COUNT);
		slot->walk.mask[0] = slot->walk.mask[1] = sw_walk_mask(slot->walk.sockets, 0);
	}
	sw_walk_rewind(&slot->walk);
	sw_walk_buckets(&slot->walk, secret, slot->walk.current, SW_WALK_BUCKETS, SW_WALK_MARK);
	slot->walk.phase = SW_WALK_IDLE;
	if (slot->walk.abandoned)
		return -2;
	/* A second run (an upgrade) finds the timer initialised already: -EBUSY. */
	err = bpf_timer_init(&slot->timer, &walk, SW_CLOCK_MONOTONIC);
	if (err && err != -16)
		return err;
	err = bpf_timer_set_callback(&slot->timer, sw_walk_tick);
	if (err)
		return err;
	/* At once: the first tick collects the own addresses. */
	slot->walk.ticks = 0;
	return bpf_timer_start(&slot->timer, 0, 0);
}

#endif
