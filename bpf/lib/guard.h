/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What becomes of a segment to a guarded listener: the state machine of every mode. The
 * file of a mode adds its programs and the two hooks in which modes differ: making a
 * SYN-ACK's cookie and judging the one that an ACK brings.
 */
#ifndef SYNWARD_BPF_GUARD_H
#define SYNWARD_BPF_GUARD_H

#include "kernel.h"
#include "maps.h"
#include "verdict.h"
#include "packet.h"
#include "known.h"
#include "socket.h"
#include "listener.h"
#include "reply.h"
#include "service.h"
#include "walk.h"
#include "../../headers/clock.h"
#include "../../headers/cookie.h"

/* No verdict: a plain frame with something in it that is read the long way. */
#define SW_UNFAMILIAR SW_REASON_COUNT

/* What a verdict is made from, beside the packet. */
struct sw_scene {
	const struct sw_secrets *secret;
	const struct sw_config *cfg;
	struct sw_walk *state;
	const struct sw_listener *listener;
	const struct sw_cookie_start *start; /* of modes that make their own cookies */
	__u32 at;     /* sw_listener_at() */
	__u64 now_ns; /* CLOCK_MONOTONIC, to the tick */
	__u32 now_ms; /* of the clock for TSval */
};

/* False: what the mode keeps beside the listener is stale, and both are to be read. */
static __always_inline bool sw_mode_ready(struct sw_scene *scene);

/*
 * The SYN-ACK's sequence number and, if timestamps were agreed on, its TSval. Takes out of
 * *agreed what this mode's cookie cannot keep. False: there is no cookie for this SYN. plain: a
 * constant, see judge().
 */
static __always_inline bool sw_mode_make(struct xdp_md *ctx, const struct sw_packet *pkt,
					 const struct sw_scene *scene, const bool plain,
					 struct sw_tcpopts *agreed, __u32 *ret_seq, __u32 *ret_tsval);

/*
 * True: the presence filter was asked for this SYN's tuple, and does not know it. plain: a
 * constant, see judge().
 */
static __always_inline bool sw_mode_has_asked(const bool plain);

/*
 * ACK_VALID: the segment brings a cookie of ours and may go on. ACK_INVALID: it does not.
 * plain: a constant, see judge().
 */
static __always_inline enum sw_reason sw_mode_judge(struct xdp_md *ctx, const struct sw_packet *pkt,
						    const struct sw_scene *scene, const bool plain);

#define SW_BUDGET_SYNS	  100  /* to the kernel, a second and CPU */
#define SW_BUDGET_LOOKUPS 1000 /* for ACKs about to be refused, a second and CPU */
/*
 * For SYNs on tuples in the filter, a second and CPU: more than a core can open. Over it
 * somebody floods on a connection of his own, and lookups and challenges cost.
 */
#define SW_BUDGET_KNOWN 50000

/* A SYN only the kernel can answer: few are real, so it gets few. */
__noinline int let_kernel_answer(struct sw_walk *state, __u64 hash, __u64 now_ns)
{
	struct sw_local *mine = SW_THE(local);

	if (!state || !mine || !sw_budget_spend(&mine->syns, SW_BUDGET_SYNS, now_ns))
		return SW_SYN_OVER_BUDGET;
	sw_known_add(state, hash);
	return SW_SYN_TO_KERNEL;
}

static __always_inline enum sw_reason leave_syn_to_kernel(const struct sw_packet *pkt,
							   const struct sw_scene *scene)
{
	return let_kernel_answer(scene->state, pkt->hash, scene->now_ns);
}

/* What becomes of a SYN whose tuple a connection, a TIME-WAIT or a request of the kernel has; SW_GO_ON: none. */
static __always_inline int judge_known_syn(struct xdp_md *ctx, const struct sw_packet *pkt,
					   const struct sw_scene *scene)
{
	struct sw_local *mine;
	bool fresh;

	if (!sw_known_maybe(scene->state, pkt->hash))
		return SW_GO_ON;
	mine = SW_THE(local);
	if (!mine || !sw_budget_spend(&mine->known, SW_BUDGET_KNOWN, scene->now_ns))
		return SW_SYN_OVER_BUDGET;
	/* Its socket may be a moment away. */
	if (sw_handed_get(pkt->hash, scene->now_ms, &fresh) == SW_HANDED && fresh)
		return SW_SYN_KNOWN;
	if (sw_socket_exists(ctx, &pkt->tuple))
		return SW_SYN_KNOWN;
	sw_handed_set(pkt->hash, SW_REOPENED, scene->now_ms);
	return SW_GO_ON;
}

/* RFC 3168 6.1.1; a SYN that is marked itself, or offers AccECN, is tcp_ecn_create_request()'s case. */
static __always_inline bool ecn_offered(const struct sw_packet *pkt)
{
	return (pkt->flags & (SW_ECE | SW_CWR)) == (SW_ECE | SW_CWR) && !(pkt->tos & 3);
}

#define SW_LF_USUAL (SW_LF_TSTAMP | SW_LF_SACK | SW_LF_WSCALE) /* what a kernel has that nobody set otherwise */

/* Of what the SYN offered, what this host agrees to; mss: absent means the default. */
static __always_inline void agree(struct sw_tcpopts *opts, const struct sw_packet *pkt,
				  const struct sw_listener *l)
{
	if (!opts->mss)
		opts->mss = pkt->tuple.family_v6 ? SW_MSS_DEFAULT_V6 : SW_MSS_DEFAULT_V4;
	if (l->user_mss && l->user_mss < opts->mss) /* TCP_MAXSEG binds what we send as well */
		opts->mss = l->user_mss;
	if ((l->flags & SW_LF_USUAL) != SW_LF_USUAL) {
		if (!(l->flags & SW_LF_TSTAMP))
			opts->flags &= ~SW_OPT_TSTAMP;
		if (!(l->flags & SW_LF_SACK))
			opts->flags &= ~SW_OPT_SACK;
		if (!(l->flags & SW_LF_WSCALE))
			opts->wscale = SW_WSCALE_NONE;
	}
	/* Without timestamps the cookie has no room for ECN. */
	if (ecn_offered(pkt) && l->flags & SW_LF_ECN && opts->flags & SW_OPT_TSTAMP)
		opts->flags |= SW_OPT_ECN;
}

/* The listener as this client's route makes it look. */
static __always_inline const struct sw_listener *seen_by_client(const struct sw_packet *pkt,
								const struct sw_scene *scene)
{
	struct sw_local *mine;

	if (!scene->cfg->routes)
		return scene->listener;
	mine = SW_THE(local);
	return mine && sw_listener_route(&pkt->tuple, scene->listener) ? &mine->routed : scene->listener;
}

static __always_inline enum sw_reason send_synack(struct xdp_md *ctx, const struct sw_packet *pkt,
						  const struct sw_scene *scene, const bool plain,
						  struct sw_tcpopts *agreed)
{
	const struct sw_listener *l = seen_by_client(pkt, scene);
	struct sw_synack sa = {
		.ack = pkt->seq + 1,
		.ttl = l->ttl,
		.tos = l->flags & SW_LF_REFLECT_TOS ? pkt->tos & ~3 : l->tos & ~3,
	};
	struct sw_tcpopts ours;
	__u32 tsval;

	if (!sw_mode_make(ctx, pkt, scene, plain, agreed, &sa.seq, &tsval))
		return leave_syn_to_kernel(pkt, scene);
	sa.ecn = !!(agreed->flags & SW_OPT_ECN);
	sa.window = l->window[agreed->flags & SW_OPT_TSTAMP ? 1 : 0];
	ours = *agreed;
	ours.mss = l->mss;
	if (agreed->wscale != SW_WSCALE_NONE)
		ours.wscale = l->wscale[agreed->flags & SW_OPT_TSTAMP ? 1 : 0];
	ours.tsecr = agreed->tsval;
	ours.tsval = tsval;
	sa.words = sw_tcpopts_write(sa.option, &ours);
	if (!sw_reply(ctx, pkt, &sa))
		return SW_NO_ROOM;
	sw_rtt_asked(pkt->hash);
	return SW_SYNACK_SENT;
}

/* A forged source that is an address of ours, or the broadcast address of a network of ours. */
static __always_inline bool source_is_ours(const struct sw_packet *pkt, const struct sw_walk *state)
{
	const struct sw_tuple *t = &pkt->tuple;

	return sw_address_find(state->net, t->saddr_hi, t->saddr_lo, t->family_v6) != SW_ADDRESS_FOREIGN;
}

#define SW_MAC_MASK 0xffffffffffffULL

/* True if the kernel would take the frame at data as sent to this machine alone, by one machine. */
static __always_inline bool sw_is_for_us(void *data, void *end, const struct sw_listener *l)
{
	__u64 *mac = data; /* destination, 2 bytes of source */

	if (data + sizeof(struct ethhdr) > end || *mac >> 48 & SW_MAC_GROUP)
		return false;
	if (l->flags & SW_LF_ANY_MAC)
		return !(*mac & SW_MAC_GROUP);
	return !((*mac ^ *(const __u64 *)l->mac) & SW_MAC_MASK);
}

static __always_inline bool frame_is_for_us(struct xdp_md *ctx, const struct sw_listener *l)
{
	return sw_is_for_us((void *)(long)ctx->data, (void *)(long)ctx->data_end, l);
}

/* What is wrong with a SYN that sw_parse() read, or SW_UNFAMILIAR for nothing; *ret: its options. */
static __always_inline enum sw_reason read_syn(struct xdp_md *ctx, const struct sw_packet *pkt,
					       const struct sw_scene *scene, struct sw_tcpopts *ret)
{
	if (pkt->first_fragment)
		return SW_SYN_FRAGMENT;
	if (!sw_frame_complete(ctx, pkt))
		return SW_TRUNCATED;
	if (pkt->header_length < sizeof(struct tcphdr) || pkt->header_length > pkt->l4_length)
		return SW_HEADER_INVALID;
	/* Record route and its kin are the kernel's to answer. */
	if (pkt->ip_options)
		return leave_syn_to_kernel(pkt, scene);
	if (!sw_checksums_right(ctx, pkt))
		return SW_CHECKSUM_INVALID;
	sw_options(ctx, pkt, ret);
	return SW_UNFAMILIAR;
}

/* A plain frame to a service that is to be asked more than whether it is armed, or is not armed. */
static __always_inline bool asks_too_much(const struct sw_scene *scene, const bool plain)
{
	return plain && scene->listener->service & SW_LS_ASK && !sw_service_is_armed(scene->listener->service);
}

static __always_inline enum sw_reason answer_syn(struct xdp_md *ctx, const struct sw_packet *pkt,
						 const struct sw_scene *scene, const bool plain)
{
	__u16 least = pkt->tuple.family_v6 ? SW_MSS_DEFAULT_V6 : SW_MSS_DEFAULT_V4;
	const struct sw_listener *l = scene->listener;
	struct sw_tcpopts opts;
	int asked, known;

	if (asks_too_much(scene, plain) ||
	    (plain && l->service & SW_LS_ASK && !sw_service_counted(l->service, scene->now_ns)))
		return SW_UNFAMILIAR;
	if (!plain && l->service & SW_LS_ASK) {
		asked = sw_service_syn(pkt, l->service, scene->now_ns);
		if (asked != SW_GO_ON)
			return asked;
	}
	if (sw_address_unanswerable(pkt))
		return SW_ADDRESS_INVALID;
	if (sw_own_maybe(scene->state, pkt->tuple.saddr_hi, pkt->tuple.saddr_lo)) {
		if (plain)
			return SW_UNFAMILIAR;
		if (source_is_ours(pkt, scene->state))
			return SW_ADDRESS_INVALID;
	}
	if (plain) {
		switch (sw_syn_read_plain(ctx, pkt, &opts)) {
		case SW_SYN_READ:
			break;
		case SW_SYN_WRONG:
			return SW_CHECKSUM_INVALID;
		case SW_SYN_UNFAMILIAR:
			return SW_UNFAMILIAR;
		}
	} else {
		enum sw_reason wrong;

		/* Before Linux 5.19 what is handed to a function must be written to. */
		__builtin_memset(&opts, 0, sizeof(opts));
		wrong = read_syn(ctx, pkt, scene, &opts);

		if (wrong != SW_UNFAMILIAR)
			return wrong;
	}
	known = sw_mode_has_asked(plain) ? SW_GO_ON : judge_known_syn(ctx, pkt, scene);
	if (known != SW_GO_ON)
		return known;
	if (l->state == SW_LISTENER_FULL)
		return SW_ACCEPT_QUEUE_FULL;
	if (opts.flags & SW_OPT_SIGNED && l->flags & SW_LF_SIGNED)
		return leave_syn_to_kernel(pkt, scene);
	agree(&opts, pkt, l);
	if (opts.mss < least)
		return leave_syn_to_kernel(pkt, scene);
	if (!plain && l->service & SW_LS_ASK) {
		asked = sw_service_answer(pkt, l->service, scene->now_ns);
		if (asked != SW_GO_ON)
			return asked;
	}
	return send_synack(ctx, pkt, scene, plain, &opts);
}

/*
 * A connection made through another interface since the last walk (ECMP, failover) is not
 * in the filter yet. One lookup finds it, as long as no flood uses up the budget.
 */
static __always_inline enum sw_reason refuse_ack(struct xdp_md *ctx, const struct sw_packet *pkt,
						 const struct sw_scene *scene)
{
	struct sw_local *mine = SW_THE(local);

	if (!mine || !sw_budget_spend(&mine->lookups, SW_BUDGET_LOOKUPS, scene->now_ns) ||
	    !sw_socket_exists(ctx, &pkt->tuple))
		return SW_ACK_INVALID;
	sw_known_add(scene->state, pkt->hash);
	return SW_KNOWN;
}

/* Of frames that are not plain it was just read, be it that the epoch ended since. */
static __always_inline bool mode_ready(struct sw_scene *scene, const bool plain)
{
	return sw_mode_ready(scene) || (!plain && scene->start);
}

/* A connection of the service was validated once more: the socket it was to get is not there. */
__noinline int count_lost(__u32 service)
{
	__u32 at = SW_COUNTERS_SERVICE + (service & SW_LS_SLOT);
	struct sw_counters *c = bpf_map_lookup_elem(&counters, &at);

	if (c)
		c->event[SW_EV_HANDOFF_LOST]++;
	return 0;
}

/* The segment's cookie, on a tuple without a socket. again: it was handed over before. */
static __always_inline enum sw_reason check_cookie(struct xdp_md *ctx, const struct sw_packet *pkt,
						   const struct sw_scene *scene, const bool plain,
						   bool again)
{
	enum sw_reason reason;

	if (pkt->header_length < sizeof(struct tcphdr))
		return SW_ACK_INVALID;
	reason = sw_mode_judge(ctx, pkt, scene, plain);
	if (reason == SW_ACK_INVALID)
		return refuse_ack(ctx, pkt, scene);
	if (reason != SW_ACK_VALID)
		return reason;
	if (scene->listener->service & SW_LS_ASK) {
		if (plain)
			sw_service_count_valid(scene->listener->service);
		else if (!sw_service_admit(pkt, scene->listener->service, scene->now_ns))
			return SW_HANDSHAKE_LIMIT;
	}
	if (again)
		count_lost(scene->listener->service);
	sw_rtt_answered(pkt->hash, scene->listener->service);
	/* In this order: between the two, another CPU's segment would pass as established. */
	sw_handed_set(pkt->hash, SW_HANDED, scene->now_ms);
	sw_known_add(scene->state, pkt->hash);
	return SW_ACK_VALID;
}

static __always_inline enum sw_reason check_ack(struct xdp_md *ctx, const struct sw_packet *pkt,
						struct sw_scene *scene, const bool plain)
{
	enum sw_handed handed = SW_HANDED_NONE;
	bool fresh;

	if (sw_known_maybe(scene->state, pkt->hash)) {
		handed = sw_handed_get(pkt->hash, scene->now_ms, &fresh);
		if (handed == SW_HANDED_NONE)
			return SW_KNOWN;
		if (handed == SW_HANDED && fresh)
			return SW_ACK_BEHIND_VALID;
		if (sw_socket_exists(ctx, &pkt->tuple)) {
			sw_handed_forget(pkt->hash);
			return SW_KNOWN;
		}
		if (plain && handed == SW_HANDED)
			return SW_UNFAMILIAR;
	}
	if (asks_too_much(scene, plain) || !mode_ready(scene, plain))
		return SW_UNFAMILIAR;
	return check_cookie(ctx, pkt, scene, plain, !plain && handed == SW_HANDED);
}

/*
 * RST and SYN-ACK: only for a socket that is there, a connecting one of ours among them.
 * One that the filter does not know may be so young that no walk has seen it: a reflection
 * flood cannot use up more lookups than the budget.
 */
static __always_inline enum sw_reason check_other(struct xdp_md *ctx, const struct sw_packet *pkt,
						  const struct sw_scene *scene, const bool plain,
						  enum sw_reason refused)
{
	struct sw_local *mine = SW_THE(local);
	bool fresh;

	if (asks_too_much(scene, plain))
		return SW_UNFAMILIAR;

	if (!sw_known_maybe(scene->state, pkt->hash)) {
		if (!mine || !sw_budget_spend(&mine->lookups, SW_BUDGET_LOOKUPS, scene->now_ns))
			return refused;
	} else if (sw_handed_get(pkt->hash, scene->now_ms, &fresh) == SW_HANDED && fresh) {
		return SW_ACK_BEHIND_VALID;
	}
	if (!sw_socket_exists(ctx, &pkt->tuple))
		return refused;
	/* A connection this host opens from a guarded port: what follows must find it known. */
	sw_known_add(scene->state, pkt->hash);
	return SW_KNOWN;
}

enum sw_segment {
	SW_SEG_SYN,
	SW_SEG_SYNACK,
	SW_SEG_ACK,
	SW_SEG_RST,
	SW_SEG_ODD,
};

/* ECN bits, PSH and URG change nothing. */
static __always_inline enum sw_segment classify(__u8 flags)
{
	switch (flags & (SW_SYN | SW_ACK | SW_RST | SW_FIN)) {
	case SW_SYN:
		return SW_SEG_SYN;
	case SW_SYN | SW_ACK:
		return SW_SEG_SYNACK;
	case SW_ACK:
	case SW_ACK | SW_FIN:
		return SW_SEG_ACK;
	case SW_RST:
	case SW_RST | SW_ACK:
		return SW_SEG_RST;
	default:
		return SW_SEG_ODD;
	}
}

static __always_inline enum sw_reason judge_segment(struct xdp_md *ctx, const struct sw_packet *pkt,
						    struct sw_scene *scene, const bool plain)
{
	switch (classify(pkt->flags)) {
	case SW_SEG_SYN:
		return mode_ready(scene, plain) ? answer_syn(ctx, pkt, scene, plain) : SW_UNFAMILIAR;
	case SW_SEG_ACK:
		return check_ack(ctx, pkt, scene, plain);
	case SW_SEG_SYNACK:
		return check_other(ctx, pkt, scene, plain, SW_SYNACK_UNSOLICITED);
	case SW_SEG_RST:
		return check_other(ctx, pkt, scene, plain, SW_RST_UNKNOWN);
	default:
		return asks_too_much(scene, plain) ? SW_UNFAMILIAR : SW_FLAGS_INVALID;
	}
}

/* The verdict on a frame to a guarded service: its mode may have the last word. */
static __always_inline int verdict_of(const struct sw_packet *pkt, __u32 service, __u32 reason)
{
	if (service & SW_LS_ASK && sw_action(reason) == XDP_DROP)
		reason = sw_service_drop(pkt, service, reason, classify(pkt->flags) == SW_SEG_SYN);
	return SW_VERDICT(reason, SW_COUNTERS_SERVICE + (service & SW_LS_SLOT));
}

/* A SYN that was judged as a plain frame. */
static __always_inline void count_syn(__u32 service, __u64 now_ns)
{
	struct sw_syns *counted = sw_service_counted(service, now_ns);

	if (counted)
		counted->count++;
}

/* What is kept of the listener that the packet is for. */
static __always_inline void read_listener(struct xdp_md *ctx, const struct sw_packet *pkt,
					  const struct sw_scene *scene, struct sw_listener *l)
{
	sw_listener_read(ctx, &pkt->tuple, l, scene->now_ns);
	if (l->service & SW_LS_ASK)
		sw_service_half_open(l, scene->now_ns);
	if (l->state == SW_LISTENER_NONE)
		sw_closed_set(&pkt->tuple, scene->cfg, scene->secret->hash_seed[0], scene->now_ns);
}

/*
 * Everything behind the parser. Three copies: for plain IPv4 and IPv6, where all is inline
 * and offsets are constants, and for the rest, where what is long is called. None of them is a
 * function of its own: see first_look().
 * Returns a verdict for sw_verdict().
 */
static __always_inline int judge(struct xdp_md *ctx, struct sw_packet *pkt, const bool plain)
{
	struct sw_scene scene = { .secret = SW_THE(secrets), .cfg = SW_THE(config) };
	struct sw_walk_slot *slot = SW_THE(walk);
	struct sw_listener *l;
	enum sw_reason reason;
	bool fresh;

	if (!scene.secret || !scene.cfg || !slot)
		return SW_NOT_GUARDED;
	scene.state = &slot->walk;
	scene.now_ns = sw_now_ns(scene.state);
	scene.now_ms = sw_clock_ms(scene.now_ns);
	scene.at = sw_listener_at(&pkt->tuple, scene.secret->hash_seed[0]);
	l = sw_listener_slot(scene.at);
	if (!l)
		return SW_NOT_GUARDED;
	fresh = sw_listener_is_fresh(l, &pkt->tuple, scene.cfg, scene.now_ns);
	if (!plain && (!fresh || !sw_mode_ready(&scene)))
		read_listener(ctx, pkt, &scene, l);
	else if (!fresh)
		return sw_closed_is(&pkt->tuple, scene.cfg, scene.secret->hash_seed[0], scene.now_ns) ?
			       SW_NOT_GUARDED : SW_UNFAMILIAR;
	if (l->state == SW_LISTENER_NONE || !frame_is_for_us(ctx, l))
		return SW_NOT_GUARDED;
	scene.listener = l;
	pkt->hash = sw_tuple_hash(&pkt->tuple, scene.secret->hash_seed);

	reason = judge_segment(ctx, pkt, &scene, plain);
	if (!plain)
		return verdict_of(pkt, l->service, reason);
	if (l->service & SW_LS_ASK && classify(pkt->flags) == SW_SEG_SYN && reason != SW_UNFAMILIAR)
		count_syn(l->service, scene.now_ns);
	return SW_VERDICT(reason, SW_COUNTERS_SERVICE + (l->service & SW_LS_SLOT));
}

static __always_inline int judge_plain_ipv4(struct xdp_md *ctx)
{
	struct sw_packet pkt;

	return sw_parse_plain_ipv4(ctx, &pkt) ? judge(ctx, &pkt, true) : SW_UNFAMILIAR;
}

static __always_inline int judge_plain_ipv6(struct xdp_md *ctx)
{
	struct sw_packet pkt;

	return sw_parse_plain_ipv6(ctx, &pkt) ? judge(ctx, &pkt, true) : SW_UNFAMILIAR;
}

/* What a frame that holds no TCP segment is counted as. */
static __always_inline enum sw_reason not_a_segment(enum sw_parse parsed)
{
	switch (parsed) {
	case SW_PARSE_LATER_FRAGMENT:
		return SW_LATER_FRAGMENT;
	case SW_PARSE_TRUNCATED:
		return SW_TRUNCATED;
	default:
		return SW_OTHER_TRAFFIC;
	}
}

/* Any frame into local.packet; enum sw_parse. A function, for the verifier to walk it once. */
__noinline int parse_any(struct xdp_md *ctx)
{
	struct sw_local *mine = SW_THE(local);

	return mine ? sw_parse(ctx, &mine->packet) : SW_PARSE_OTHER;
}

/* UNFAMILIAR never, in practice: all that it says of plain frames is dealt with here. */
static __always_inline int judge_any(struct xdp_md *ctx)
{
	enum sw_parse parsed = parse_any(ctx);
	struct sw_local *mine = SW_THE(local);
	int verdict;

	if (parsed != SW_PARSE_TCP || !mine)
		return not_a_segment(parsed);
	verdict = judge(ctx, &mine->packet, false);
	return (verdict & SW_VERDICT_REASON) == SW_UNFAMILIAR ? SW_NOT_GUARDED : verdict;
}

/*
 * Before anything is called: where the kernel keeps the CPU from guessing returns (SRSO: Safe
 * RET), each costs 7 ns, a tenth of what a SYN costs.
 */
enum sw_first_look {
	SW_LOOK_PLAIN_IPV4,
	SW_LOOK_PLAIN_IPV6,
	SW_LOOK_ANY,
	SW_LOOK_OTHER,
};

static __always_inline enum sw_first_look first_look(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)ip;
	void *end = (void *)(long)ctx->data_end;

	if ((void *)(ip + 1) > end)
		return SW_LOOK_ANY;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return ip->protocol == IPPROTO_TCP ? SW_LOOK_PLAIN_IPV4 : SW_LOOK_OTHER;
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if (ip6->nexthdr == IPPROTO_TCP)
			return SW_LOOK_PLAIN_IPV6;
		if (ip6->nexthdr == IPPROTO_UDP || ip6->nexthdr == IPPROTO_ICMPV6)
			return SW_LOOK_OTHER;
	}
	return SW_LOOK_ANY;
}

static __always_inline int sw_guard(struct xdp_md *ctx)
{
	int verdict = SW_UNFAMILIAR;

	switch (first_look(ctx)) {
	case SW_LOOK_PLAIN_IPV4:
		verdict = judge_plain_ipv4(ctx);
		break;
	case SW_LOOK_PLAIN_IPV6:
		verdict = judge_plain_ipv6(ctx);
		break;
	case SW_LOOK_OTHER:
		return SW_OTHER_TRAFFIC;
	case SW_LOOK_ANY:
		break;
	}
	if ((verdict & SW_VERDICT_REASON) != SW_UNFAMILIAR)
		return verdict;
	return judge_any(ctx);
}

#endif
