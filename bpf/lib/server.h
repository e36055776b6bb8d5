/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Proxy mode: which services are guarded, and what their SYN-ACK looks like. Nothing is
 * typed in: a server's own SYN-ACKs, seen on their way out, say it. Until all is known, a
 * SYN a second goes through to a service to learn from its answer; the others are
 * answered with the least that any server can keep.
 */
#ifndef SYNWARD_BPF_SERVER_H
#define SYNWARD_BPF_SERVER_H

#include "flow.h"
#include "address.h"
#include "listener.h"
#include "start.h"

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, SW_TARGETS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct sw_route_key);
	__type(value, __u8);
} targets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SW_SERVERS_MAX);
	__type(key, struct sw_server_key);
	__type(value, struct sw_server);
} servers SEC(".maps");

#define SW_LEARN_EVERY_NS SW_NS_PER_S
#define SW_LEARN_AGAIN_NS (300 * SW_NS_PER_S) /* what a server lacked it may have by now */
#define SW_LEARN_ALL (SW_LF_SACK | SW_LF_TSTAMP | SW_LF_WSCALE | SW_LF_ECN)

/* Told to the client before anything is known; a difference to the server's is translated. */
#define SW_WSCALE_UNSEEN 7 /* what Linux has with its default buffers */
#define SW_TTL_UNSEEN 64

/*
 * Before anything is known: no timestamps, because a client that uses them may refuse the
 * segments of a server that does not (RFC 7323 3.2), and the least MSS every stack takes.
 */
static __always_inline void sw_target_unseen(struct sw_listener *l, int v6)
{
	l->flags |= SW_LF_SACK | SW_LF_WSCALE;
	l->mss = v6 ? SW_MSS_DEFAULT_V6 : SW_MSS_DEFAULT_V4;
	l->wscale[0] = l->wscale[1] = SW_WSCALE_UNSEEN;
	l->ttl = SW_TTL_UNSEEN;
}

static __always_inline void sw_target_seen(struct sw_listener *l, const struct sw_server *s)
{
	l->flags |= s->has;
	l->mss = s->mss;
	l->wscale[0] = l->wscale[1] = s->wscale;
	l->ttl = s->ttl;
}

/*
 * The scale that a SYN-ACK told, which no cookie holds: as it would be told now. A server
 * learned, or learned to be another, between SYN-ACK and ACK makes it a wrong guess.
 */
static __always_inline __u8 sw_told_wscale(const struct sw_listener *l,
					   const struct sw_tcpopts *agreed)
{
	return agreed->wscale == SW_WSCALE_NONE ? 0 : l->wscale[0];
}

static __always_inline bool sw_target_in_scope(const struct sw_proxy *p,
					       const struct sw_walk *state,
					       const struct sw_listener *l, int v6)
{
	struct sw_route_key key = {.prefix_length = 128};
	__u32 addr = (__u32)l->addr_lo;

	if (!p->targets)
		return sw_own_maybe(state, l->addr_hi, l->addr_lo) &&
		       sw_address_find(state->net, l->addr_hi, l->addr_lo, v6) == SW_ADDRESS_OWN;
	if (v6) {
		__builtin_memcpy(key.addr, &l->addr_hi, 16);
	} else {
		key.addr[10] = key.addr[11] = 0xff;
		__builtin_memcpy(key.addr + 12, &addr, sizeof(addr));
	}
	return bpf_map_lookup_elem(&targets, &key);
}

/* The options that may be asked about now: unknown ones, and after a while what the server lacked.
 */
static __always_inline __u32 sw_to_learn(const struct sw_server *s, __u64 now_ns)
{
	if (!s || !s->seen_ns)
		return SW_LEARN_ALL;
	if (now_ns - s->asked_ns < SW_LEARN_EVERY_NS)
		return 0;
	return SW_LEARN_ALL & ~(now_ns - s->asked_ns > SW_LEARN_AGAIN_NS ? s->has : s->known);
}

/* True if connections to a listener of this machine's own at l may be handed over; l has its service. */
static __always_inline bool sw_target_hands_over(const struct sw_listener *l)
{
	struct sw_policy *policy = sw_policy();
	struct sw_proxy *p = SW_THE(proxy);

	return p && policy && p->hands_over && !(policy->translated >> (l->service & SW_LS_SLOT) & 1);
}

static __always_inline bool sw_target_only_hands_over(const struct sw_listener *l)
{
	struct sw_policy *policy = sw_policy();

	return policy && policy->service[l->service & SW_LS_SLOT].path == SW_SERVICE_HOST;
}

/*
 * Reads what is known of t's destination into *l, of servers that are not handed anything;
 * state NONE if it is not to be guarded.
 */
__noinline int sw_target_read(const struct sw_tuple *t, struct sw_listener *l, __u32 ifindex,
			      __u64 now_ns)
{
	struct sw_server_key key = {};
	struct sw_walk_slot *slot = SW_THE(walk);
	struct sw_config *cfg = SW_THE(config);
	struct sw_proxy *p = SW_THE(proxy);
	struct net_device *dev;
	struct sw_server *s;
	__u16 port;

	if (!cfg || !p || !slot || !t || !l)
		return 0;
	port = t->dport;
	*l = (struct sw_listener){
		.addr_hi = t->daddr_hi,
		.addr_lo = t->daddr_lo,
		.port = port,
		.generation = cfg->generation,
		.fresh_until_ns = now_ns + SW_LISTENER_FRESH_NS,
	};
	if (!(cfg->port[port / 64] >> (port & 63) & 1) || !sw_service_match(t, l, now_ns) ||
	    !sw_target_in_scope(p, &slot->walk, l, t->family_v6))
		return 0;
	if (sw_target_hands_over(l)) {
		if (sw_own_maybe(&slot->walk, l->addr_hi, l->addr_lo))
			l->window_flags = SW_WF_UNSETTLED;
		if (sw_target_only_hands_over(l))
			return 0;
	}
	sw_count_event(SW_EV_LISTENER_READ);
	key.addr_hi = l->addr_hi;
	key.addr_lo = l->addr_lo;
	key.port = port;
	key.family_v6 = t->family_v6;
	s = bpf_map_lookup_elem(&servers, &key);
	/* A signature covers what would be translated. */
	l->flags = SW_LF_SIGNED;
	dev = sw_dev_find((struct net *)slot->walk.net, ifindex);
	if (dev)
		sw_listener_mac(l, dev);
	if (p->ports_auto && !(s && s->seen_ns)) {
		l->state = SW_LISTENER_UNSEEN;
		return 0;
	}
	l->state = SW_LISTENER_OPEN;
	sw_start_make(t, now_ns);
	if (s && s->seen_ns)
		sw_target_seen(l, s);
	else
		sw_target_unseen(l, t->family_v6);
	l->learn = sw_to_learn(s, now_ns);
	if (p->draining)
		l->window_flags |= SW_WF_DRAINING;
	return 0;
}

/*
 * The service t goes to, as this CPU's cache has it, and what its cookies start from. *ret_stale: it
 * is to be read. The window of its SYN-ACK is always 0, but where connections are handed over.
 */
static __always_inline struct sw_listener *sw_target_find(const struct sw_tuple *t,
							  const struct sw_secrets *secret,
							  const struct sw_config *cfg, __u64 now_ns,
							  const struct sw_cookie_start **ret_start,
							  bool *ret_stale)
{
	__u32 at = sw_listener_at(t, secret->hash_seed[0]);
	struct sw_listener *l = sw_listener_slot(at);
	bool ready = sw_start_find(at, cfg, now_ns, ret_start);

	if (!l || !*ret_start)
		return NULL;
	*ret_stale = !sw_listener_is_fresh(l, t, cfg, now_ns) ||
		     (l->state == SW_LISTENER_OPEN && !ready);
	return l;
}

/* The options of a segment, as a server's record names them. */
static __always_inline __u8 sw_learn_bits(const struct sw_tcpopts *opts, bool ecn)
{
	return (opts->flags & SW_OPT_SACK ? SW_LF_SACK : 0) |
	       (opts->flags & SW_OPT_TSTAMP ? SW_LF_TSTAMP : 0) |
	       (opts->wscale != SW_WSCALE_NONE ? SW_LF_WSCALE : 0) | (ecn ? SW_LF_ECN : 0);
}

static __always_inline struct sw_server_key sw_server_key(const struct sw_tuple *t)
{
	return (struct sw_server_key){t->daddr_hi, t->daddr_lo, t->dport, t->family_v6};
}

/* True if this SYN is to go to the server itself, so that its answer tells what is not known yet.
 */
__noinline int sw_learn_from(const struct sw_tuple *t, __u64 hash, __u32 offered, __u64 now_ns)
{
	struct sw_server fresh = {}, *s;
	struct sw_server_key key;

	if (!t)
		return 0;
	key = sw_server_key(t);
	s = bpf_map_lookup_elem(&servers, &key);
	if (s && (now_ns - s->asked_ns < SW_LEARN_EVERY_NS || !(sw_to_learn(s, now_ns) & offered)))
		return 0;
	if (!s) {
		fresh.asked_ns = now_ns;
		fresh.asked_hash = hash;
		fresh.asked = offered;
		/* Two CPUs at once: one SYN more. */
		return !bpf_map_update_elem(&servers, &key, &fresh, BPF_NOEXIST);
	}
	s->asked = offered;
	s->asked_hash = hash;
	s->asked_ns = now_ns;
	return 1;
}

/* What a SYN-ACK said. */
struct sw_lesson {
	__u64 hash;
	__u16 mss;    /* 0: no option */
	__u8 has;     /* SW_LF_* it has */
	__u8 offered; /* SW_LF_* that its SYN offered for certain, if that is known */
	__u8 wscale;
	__u8 ttl;
	__u8 pad[2];
};

/* Learns from a SYN-ACK of t's destination. */
__noinline int sw_learn(const struct sw_tuple *t, const struct sw_lesson *lesson, __u64 now_ns)
{
	struct sw_server fresh = {}, *s;
	struct sw_server_key key;
	__u8 offered;

	if (!t || !lesson)
		return 0;
	key = sw_server_key(t);
	s = bpf_map_lookup_elem(&servers, &key);
	if (!s) {
		bpf_map_update_elem(&servers, &key, &fresh, BPF_NOEXIST);
		s = bpf_map_lookup_elem(&servers, &key);
		if (!s)
			return 0;
	}
	offered = lesson->offered | lesson->has;
	if (s->asked_hash == lesson->hash)
		offered |= s->asked;
	if (!s->seen_ns || (offered & ~s->known) || ((s->has ^ lesson->has) & offered))
		sw_count_event(SW_EV_SERVER_LEARNED);
	s->has = (s->has & ~offered) | lesson->has;
	s->known |= offered;
	s->mss = lesson->mss ?: t->family_v6 ? SW_MSS_DEFAULT_V6 : SW_MSS_DEFAULT_V4;
	if (lesson->has & SW_LF_WSCALE)
		s->wscale = lesson->wscale;
	s->ttl = lesson->ttl;
	s->seen_ns = now_ns;
	return 1;
}

#endif
