// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "handovers.h"

#define LOST_LEAST 4 /* a few: one may be a listener that was closed, or a client */
#define BAD_LOOKS 2

/* What is missing of least is none. */
static __u64 less(__u64 from, __u64 least)
{
	return from > least ? from - least : 0;
}

static bool are_lost(const struct handovers_counts *last, const struct handovers_counts *now)
{
	__u64 validated = less(now->validated, last->validated);
	__u64 opened = now->opened - last->opened + now->dropped - last->dropped;
	__u64 lost = less(validated, opened);

	return lost >= LOST_LEAST && lost * 4 >= validated * 3;
}

/* A slot that another service has got counts from 0 on. */
static bool is_losing(const struct handovers_counts *last, const struct handovers_counts *now,
		      int slot)
{
	__u64 validated = less(now->service[slot].validated, last->service[slot].validated);
	__u64 again = less(now->service[slot].again, last->service[slot].again);
	__u64 lost = less(again, now->dropped - last->dropped);

	return lost >= LOST_LEAST && lost * 3 >= validated * 2;
}

struct handovers_found handovers_judge(struct handovers *h, const struct handovers_counts *now)
{
	struct handovers_found found = {};
	int slot;

	for (slot = 0; h->begun && slot < SW_SERVICES; slot++) {
		bool losing = is_losing(&h->last, now, slot);
		bool in_use = now->service[slot].validated > h->last.service[slot].validated;

		h->service_bad[slot] = losing ? h->service_bad[slot] + 1 : 0;
		found.losing |= (__u64)(h->service_bad[slot] >= BAD_LOOKS) << slot;
		found.in_use |= (__u64)in_use << slot;
	}
	h->bad = h->begun && are_lost(&h->last, now) ? h->bad + 1 : 0;
	found.lost = h->bad >= BAD_LOOKS;
	h->begun = true;
	h->last = *now;
	return found;
}
