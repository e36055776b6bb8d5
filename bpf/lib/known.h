/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which tuples the kernel may know.
 *
 * `known` is a Bloom filter whose bits of one tuple share a 64-bit word: a miss proves
 * that no socket has the tuple, so a flood from random sources costs one load. A hit on
 * a SYN is settled by the real lookup; on an ACK it passes, for that is established
 * traffic, unless `handed` says that this tuple is special:
 *
 *   HANDED   its cookie was just validated; the socket is being made. For
 *            SW_HANDED_FRESH_MS whatever follows on the same CPU passes: it may be data in
 *            the same batch. Otherwise one lookup settles it.
 *   REOPENED the filter knew it but no socket had it, so its SYN was answered with a
 *            cookie: the ACK must bring that cookie (port reuse after a close).
 *
 * In proxy mode a tuple has a second entry, that of ~hash: the flow of that tuple has been seen to
 * carry large data from the client (behind.h).
 *
 * A `handed` word: | 63 tag 24 | 23 state 22 | 21 cpu 14 | 13 milliseconds 0 |; 0 is empty.
 */
#ifndef SYNWARD_BPF_KNOWN_H
#define SYNWARD_BPF_KNOWN_H

#include "maps.h"

#define SW_HANDED_FRESH_MS 100 /* below every stack's shortest retransmission time */

#define SW_HANDED_TAG	(~0ULL << 24)
#define SW_HANDED_STATE (3ULL << 22)
#define SW_HANDED_MS	((1ULL << 14) - 1)
#define SW_HANDED_CPU	(255ULL << 14)

enum sw_handed {
	SW_HANDED_NONE = 0,
	SW_HANDED,
	SW_REOPENED,
};

static __always_inline __u64 sw_known_bits(__u64 hash)
{
	return 1ULL << (hash >> 18 & 63) | 1ULL << (hash >> 24 & 63) | 1ULL << (hash >> 30 & 63);
}

static __always_inline __u64 *sw_known_word(const struct sw_walk *state, __u64 hash, __u32 generation)
{
	__u32 at = (__u32)hash & state->mask[generation & 1];

	at |= (generation & 1) * SW_KNOWN_WORDS;
	return bpf_map_lookup_elem(&known, &at);
}

static __always_inline bool sw_known_maybe(const struct sw_walk *state, __u64 hash)
{
	__u64 *word = sw_known_word(state, hash, state->current);
	__u64 bits = sw_known_bits(hash);

	return !word || (*word & bits) == bits;
}

/* True if it was not marked. */
static __always_inline bool sw_known_mark(const struct sw_walk *state, __u64 hash, __u32 generation)
{
	__u64 *word = sw_known_word(state, hash, generation);
	__u64 bits = sw_known_bits(hash);

	if (!word || (*word & bits) == bits)
		return false;
	__sync_fetch_and_or(word, bits);
	return true;
}

/*
 * To both generations while one is built: its walk may be past that bucket already. A
 * function that is called, for what happens once a connection.
 */
__noinline int sw_known_add(struct sw_walk *state, __u64 hash)
{
	bool added;

	if (!state)
		return 0;
	added = sw_known_mark(state, hash, state->current);
	if (state->building)
		added = sw_known_mark(state, hash, state->current ^ 1);
	if (added)
		__sync_fetch_and_add(&state->added, 1);
	return 0;
}

static __always_inline __u64 *sw_handed_word(__u64 hash)
{
	__u32 at = hash >> 48 & (SW_HANDED_SLOTS - 1);

	return bpf_map_lookup_elem(&handed, &at);
}

static __always_inline __u64 sw_handed_cpu(void)
{
	return (__u64)bpf_get_smp_processor_id() << 14 & SW_HANDED_CPU;
}

static __always_inline void sw_handed_set(__u64 hash, enum sw_handed state, __u32 now_ms)
{
	__u64 *word = sw_handed_word(hash);

	if (word)
		*word = hash << 24 | (__u64)state << 22 | sw_handed_cpu() |
			(now_ms & SW_HANDED_MS);
}

/* ret_fresh: less than SW_HANDED_FRESH_MS ago, by this CPU. */
static __always_inline enum sw_handed sw_handed_get(__u64 hash, __u32 now_ms, bool *ret_fresh)
{
	__u64 *slot = sw_handed_word(hash);
	__u64 word = slot ? *slot : 0;

	*ret_fresh = false;
	if (!word || (word ^ hash << 24) & SW_HANDED_TAG)
		return SW_HANDED_NONE;
	*ret_fresh = ((now_ms - word) & SW_HANDED_MS) < SW_HANDED_FRESH_MS &&
		     (word & SW_HANDED_CPU) == sw_handed_cpu();
	return (word & SW_HANDED_STATE) >> 22;
}

/* Once its socket is seen, a tuple is like any other. */
static __always_inline void sw_handed_forget(__u64 hash)
{
	__u64 *word = sw_handed_word(hash);

	if (word)
		*word = 0;
}

#endif
