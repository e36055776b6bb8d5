// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The entry of map `services` that services make of the one before. */
#include <errno.h>
#include <string.h>

#include "services_policy.h"

/* The slot of a policy's service of that name, or -ENOENT. */
static int slot_of(const struct sw_policy *p, const char *name)
{
	__u32 i;

	for (i = 0; i < p->count && i < SW_SERVICES; i++) {
		__u8 slot = p->order[i] % SW_SERVICES;

		if (!strncmp(p->service[slot].name, name, sizeof(p->service[slot].name)))
			return slot;
	}
	return -ENOENT;
}

static __u64 slots_of(const struct sw_policy *p)
{
	__u64 mask = 0;
	__u32 i;

	for (i = 0; i < p->count && i < SW_SERVICES; i++)
		mask |= 1ULL << p->order[i] % SW_SERVICES;
	return mask;
}

/* One that nobody has; only if there is none, one whose service goes with this change. */
static int free_slot(__u64 taken, __u64 before)
{
	return __builtin_ctzll(~(taken | before) ?: ~taken);
}

static __u64 off_since(const struct sw_policy *old, int slot, __u64 now_ns)
{
	return old->service[slot].mode == SW_MODE_OFF ? old->off_since_ns[slot] : now_ns;
}

/* What was found out of a service stays known for as long as the choice is ours. */
static bool is_translated(const struct sw_service *s, const struct sw_policy *old, int slot)
{
	if (s->path != SW_SERVICE_AUTO)
		return s->path == SW_SERVICE_PROXY;
	return slot >= 0 && old->service[slot].path == SW_SERVICE_AUTO &&
	       old->translated >> slot & 1;
}

static void place(struct sw_policy *p, const struct sw_service *s, int slot, bool listed,
		  bool translated)
{
	p->service[slot] = *s;
	p->order[p->count++] = (__u8)slot;
	if (s->mode == SW_MODE_AUTO)
		p->watched |= 1ULL << slot;
	if (listed)
		p->lists |= 1ULL << slot;
	if (translated)
		p->translated |= 1ULL << slot;
}

__u64 services_policy(const struct services *s, const struct sw_policy *old, __u64 now_ns,
		      struct sw_policy *p, int list_of_slot[SW_SERVICES])
{
	__u64 before = slots_of(old), taken = 0, new_slots = 0;
	bool translated;
	int i, slot;

	memset(p, 0, sizeof(*p));
	for (i = 0; i < s->count; i++) {
		slot = slot_of(old, s->service[i].name);
		if (slot >= 0)
			taken |= 1ULL << slot;
	}
	for (i = 0; i < s->count; i++) {
		slot = slot_of(old, s->service[i].name);
		translated = is_translated(&s->service[i], old, slot);
		if (slot < 0) {
			slot = free_slot(taken, before);
			taken |= 1ULL << slot;
			new_slots |= 1ULL << slot;
		} else if (s->service[i].mode == SW_MODE_OFF) {
			p->off_since_ns[slot] = off_since(old, slot, now_ns);
		}
		place(p, &s->service[i], slot, s->list_fd[i] >= 0, translated);
		list_of_slot[slot] = s->list_fd[i];
	}
	return new_slots;
}

__u64 services_policy_auto(const struct sw_policy *p)
{
	__u64 mask = 0;
	__u32 slot;

	for (slot = 0; slot < SW_SERVICES; slot++)
		mask |= (__u64)(p->service[slot].path == SW_SERVICE_AUTO) << slot;
	return mask & slots_of(p);
}
