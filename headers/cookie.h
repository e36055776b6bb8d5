/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The SYN cookie: 32 bits of sequence number, and the 8 low bits of TSval if the
 * client uses timestamps, that say what a half-open connection would have remembered.
 * docs/cookie.md derives the layout and the odds of forging one.
 *
 * with timestamps:     | 31 ... mac 29 ... 3 | 2 epoch 1 | 0 mss |
 *   TSval's low byte:  | 7 mss 6 | 5 ecn | 4 sack | 3 wscale 0 |
 * without:             | 31 ... mac 23 ... 9 | 8 epoch 7 | 6 sack | 5 wscale 2 | 1 mss 0 |
 *
 * mac is SipHash-2-4 over addresses, epoch, client ISN, ports and each option bit.
 */
#ifndef SYNWARD_COOKIE_H
#define SYNWARD_COOKIE_H

#include <linux/types.h>

#include "clock.h"
#include "siphash.h"
#include "tcpopts.h"
#include "tuple.h"

/*
 * An epoch is 2^35 ns (34.4 s). A cookie is good in its own epoch and the two after it:
 * for 68.7 s at least, 103.1 s at most. One from the next epoch is taken as well: a box
 * of the same cluster may be ahead.
 */
#define SW_EPOCH_SHIFT 35

static __always_inline __u32 sw_epoch(__u64 clock_ns)
{
	return (__u32)(clock_ns >> SW_EPOCH_SHIFT);
}

/*
 * Two keys at once: key[0] for cookies of epochs before switch_epoch, key[1] from it on.
 * When which may be replaced: user/keys/keyring.h.
 */
#define SW_EPOCHS_VALID 3 /* an epoch's cookies are good in so many: its own and those after it */

enum sw_key_source {
	SW_KEYS_RANDOM = 0, /* this machine's own */
	SW_KEYS_SHARED,	    /* derived from a secret that other machines have as well */
};

struct sw_secret {
	struct sw_key key[2];
	__u32 switch_epoch;
	__u32 source; /* enum sw_key_source; for user space */
};

static __always_inline const struct sw_key *sw_epoch_key(const struct sw_secret *secret, __u32 epoch)
{
	return (__s32)(epoch - secret->switch_epoch) >= 0 ? &secret->key[1] : &secret->key[0];
}

#define SW_COOKIE_TS_BITS 8 /* of TSval */
#define SW_COOKIE_TS_MASK ((1U << SW_COOKIE_TS_BITS) - 1)

#define SW_COOKIE_MAC_TS    0xfffffff8U /* 29 bits */
#define SW_COOKIE_MAC_PLAIN 0xfffffe00U /* 23 bits */

/*
 * MSS values a cookie can name; each sorted. The first is the least the kernel takes
 * at hand-over (RFC 9293 3.7.1: the default when none is offered).
 */
#define SW_MSS_DEFAULT_V4 536
#define SW_MSS_DEFAULT_V6 1220

#define SW_MSS_FOUR(a, b, c, d) ((__u64)(a) | (__u64)(b) << 16 | (__u64)(c) << 32 | (__u64)(d) << 48)

/* In constants, not arrays: a table in memory would be a map lookup for BPF. */
struct sw_mss_table {
	__u64 low, high; /* four values each; high 0: only four */
};

static __always_inline struct sw_mss_table sw_mss_table(int v6, int tstamp)
{
	if (tstamp)
		return v6 ? (struct sw_mss_table){ SW_MSS_FOUR(1220, 1280, 1340, 1380),
						   SW_MSS_FOUR(1420, 1432, 1440, 8940) } :
			    (struct sw_mss_table){ SW_MSS_FOUR(536, 1200, 1300, 1400),
						   SW_MSS_FOUR(1440, 1452, 1460, 8960) };
	return v6 ? (struct sw_mss_table){ SW_MSS_FOUR(1220, 1360, 1420, 1440), 0 } :
		    (struct sw_mss_table){ SW_MSS_FOUR(536, 1300, 1440, 1460), 0 };
}

static __always_inline __u32 sw_mss_at(__u64 four, __u32 index)
{
	return four >> index * 16 & 0xffff;
}

static __always_inline __u32 sw_mss_index_of_four(__u64 four, __u16 mss)
{
	if (mss >= sw_mss_at(four, 2))
		return mss >= sw_mss_at(four, 3) ? 3 : 2;
	return mss >= sw_mss_at(four, 1) ? 1 : 0;
}

/* The largest value of the table not above mss: the peer is never sent more than it offered. */
static __always_inline __u32 sw_mss_index(__u16 mss, int v6, int tstamp)
{
	struct sw_mss_table table = sw_mss_table(v6, tstamp);

	if (table.high && mss >= sw_mss_at(table.high, 0))
		return 4 + sw_mss_index_of_four(table.high, mss);
	return sw_mss_index_of_four(table.low, mss);
}

static __always_inline __u16 sw_mss_value(__u32 index, int v6, int tstamp)
{
	struct sw_mss_table table = sw_mss_table(v6, tstamp);

	return (__u16)((index & 4 ? table.high : table.low) >> (index & 3) * 16);
}

/*
 * The message under the MAC, IPv4 23 bytes, IPv6 47. First what the cookies of one server
 * have in common, for IPv4 with the epoch: its two of ten rounds, for IPv6 four of sixteen,
 * need to be done once an epoch only. epoch chooses the key as well.
 */
static __always_inline struct sw_siphash sw_cookie_mac_start(const struct sw_key *key,
							     const struct sw_tuple *t, __u32 epoch)
{
	struct sw_siphash s;

	sw_siphash_init(&s, key);
	if (t->family_v6) {
		sw_siphash_word(&s, t->daddr_hi);
		sw_siphash_word(&s, t->daddr_lo);
	} else {
		sw_siphash_word(&s, (__u64)epoch << 32 | (__u32)t->daddr_lo);
	}
	return s;
}

/* The rest of it: client, ISN, ports and option_bits (24 bits at most), each with bits of its own. */
static __always_inline __u32 sw_cookie_mac(const struct sw_siphash *start, const struct sw_tuple *t,
					   __u32 isn, __u32 epoch, __u32 option_bits)
{
	__u64 tail = (__u64)(option_bits & 0xffffff) << 32 | (__u32)t->sport << 16 | t->dport;
	struct sw_siphash s = { start->v0, start->v1, start->v2, start->v3 };

	if (t->family_v6) {
		sw_siphash_word(&s, t->saddr_hi);
		sw_siphash_word(&s, t->saddr_lo);
		sw_siphash_word(&s, (__u64)isn << 32 | epoch);
		return (__u32)(sw_siphash_end(&s, tail, 47) >> 32);
	}
	sw_siphash_word(&s, (__u64)isn << 32 | (__u32)t->saddr_lo);
	return (__u32)(sw_siphash_end(&s, tail, 23) >> 32);
}

/* What cookies to one server are made from in one epoch. As secret as the key. */
struct sw_cookie_start {
	struct sw_siphash mac;
	__u32 epoch;
	__u32 pad;
};

/* For cookies to t's server, made in epoch, checked in it or later. */
static __always_inline void sw_cookie_start(const struct sw_secret *secret, const struct sw_tuple *t,
					    __u32 epoch, struct sw_cookie_start *ret)
{
	ret->mac = sw_cookie_mac_start(sw_epoch_key(secret, epoch), t, epoch);
	ret->epoch = epoch;
}

#define SW_COOKIE_HAS_TS (1U << 16) /* in option_bits: the two layouts never meet */

/*
 * The cookie, made in start's epoch, for a SYN of that tuple and ISN (host order), with the
 * options that were agreed on. ret_ts_bits: to stand in the low byte of TSval; 0 without
 * timestamps.
 */
static __always_inline __u32 sw_cookie_make(const struct sw_cookie_start *start,
					    const struct sw_tuple *t, __u32 isn,
					    const struct sw_tcpopts *agreed, __u32 *ret_ts_bits)
{
	int tstamp = !!(agreed->flags & SW_OPT_TSTAMP);
	__u32 mss = sw_mss_index(agreed->mss, t->family_v6, tstamp);
	__u32 sack = !!(agreed->flags & SW_OPT_SACK);
	__u32 ecn = !!(agreed->flags & SW_OPT_ECN);
	__u32 wscale = agreed->wscale & 15, epoch = start->epoch;
	__u32 mask, low, bits;

	if (tstamp) {
		*ret_ts_bits = mss >> 1 << 6 | ecn << 5 | sack << 4 | wscale;
		low = (epoch & 3) << 1 | (mss & 1);
		bits = SW_COOKIE_HAS_TS | *ret_ts_bits << 8 | low;
		mask = SW_COOKIE_MAC_TS;
	} else {
		*ret_ts_bits = 0;
		low = (epoch & 3) << 7 | sack << 6 | wscale << 2 | mss;
		bits = low;
		mask = SW_COOKIE_MAC_PLAIN;
	}
	return (sw_cookie_mac(&start->mac, t, isn, epoch, bits) & mask) | low;
}

/* The epoch that the two low bits mean, seen from now: one ahead, this one, or up to two back. */
static __always_inline __u32 sw_cookie_epoch(__u32 bits, __u32 now_epoch)
{
	__u32 behind = (now_epoch - bits) & 3;

	return behind == 3 ? now_epoch + 1 : now_epoch - behind;
}

/*
 * 1 if cookie (the ACK's number less 1) was made for that tuple and ISN (the segment's
 * sequence number less 1) in an epoch still good in start's; ret_agreed is then what was
 * agreed on, its tsval and tsecr those of seen. seen: the options of this segment.
 */
static __always_inline int sw_cookie_check(const struct sw_secret *secret,
					   const struct sw_cookie_start *start,
					   const struct sw_tuple *t, __u32 isn, __u32 cookie,
					   const struct sw_tcpopts *seen, struct sw_tcpopts *ret_agreed)
{
	int tstamp = !!(seen->flags & SW_OPT_TSTAMP);
	__u32 mask, low, bits, epoch, sack, ecn, wscale, mss;
	struct sw_siphash mac;

	if (tstamp) {
		__u32 ts_bits = seen->tsecr & SW_COOKIE_TS_MASK;

		mask = SW_COOKIE_MAC_TS;
		low = cookie & ~mask;
		epoch = sw_cookie_epoch(low >> 1 & 3, start->epoch);
		mss = (ts_bits >> 6) << 1 | (low & 1);
		ecn = ts_bits >> 5 & 1;
		sack = ts_bits >> 4 & 1;
		wscale = ts_bits & 15;
		bits = SW_COOKIE_HAS_TS | ts_bits << 8 | low;
	} else {
		mask = SW_COOKIE_MAC_PLAIN;
		low = cookie & ~mask;
		epoch = sw_cookie_epoch(low >> 7 & 3, start->epoch);
		mss = low & 3;
		ecn = 0;
		sack = low >> 6 & 1;
		wscale = low >> 2 & 15;
		bits = low;
	}
	if (epoch == start->epoch)
		mac = (struct sw_siphash){ start->mac.v0, start->mac.v1, start->mac.v2, start->mac.v3 };
	else
		mac = sw_cookie_mac_start(sw_epoch_key(secret, epoch), t, epoch);
	if ((sw_cookie_mac(&mac, t, isn, epoch, bits) ^ cookie) & mask)
		return 0;
	*ret_agreed = (struct sw_tcpopts){
		.tsval = seen->tsval,
		.tsecr = seen->tsecr,
		.mss = sw_mss_value(mss, t->family_v6, tstamp),
		.wscale = (__u8)wscale,
		.flags = (__u8)((sack ? SW_OPT_SACK : 0) | (ecn ? SW_OPT_ECN : 0) |
				(tstamp ? SW_OPT_TSTAMP : 0)),
	};
	return 1;
}

/*
 * TSval of the SYN-ACK: the clock with its low bits replaced, stepped back if that would
 * put it ahead. The socket goes on from the value the client echoes
 * (bpf_sk_assign_tcp_reqsk), so it never runs ahead of what follows (RFC 7323 5).
 */
static __always_inline __u32 sw_cookie_tsval(__u32 clock_ms, __u32 ts_bits)
{
	return sw_tsval_with(clock_ms, SW_COOKIE_TS_MASK, ts_bits);
}

#endif
