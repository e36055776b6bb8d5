// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <criterion/criterion.h>

#include "handovers.h"

enum { GOOD, BAD };

/* A guard as the looks find it. */
struct scene {
	struct handovers h;
	struct handovers_counts c;
};

/* New connections of a service, and what of them is no new one. */
static void validated(struct scene *s, int slot, __u64 first, __u64 again)
{
	s->c.validated += first + again;
	s->c.service[slot].validated += first + again;
	s->c.service[slot].again += again;
}

static struct handovers_found look(struct scene *s)
{
	return handovers_judge(&s->h, &s->c);
}

static struct scene begun(void)
{
	struct scene s = {};

	validated(&s, BAD, 100, 900); /* from before the first look: whose, nobody knows */
	look(&s);
	return s;
}

Test(handovers, of_one_service_are_lost_among_many_that_are_not)
{
	struct scene s = begun();
	struct handovers_found found = {};
	int i;

	for (i = 0; i < 2; i++) {
		cr_assert_eq(found.losing, 0, "at one look alone");
		validated(&s, GOOD, 10000, 3);
		s.c.opened += 10003;
		validated(&s, BAD, 2, 4);
		found = look(&s);
	}
	cr_assert_eq(found.losing, 1ULL << BAD);
	cr_assert_eq(found.in_use, 1ULL << GOOD | 1ULL << BAD);
	cr_assert_not(found.lost);
}

Test(handovers, of_few_connections_say_nothing)
{
	struct scene s = begun();
	int i;

	for (i = 0; i < 4; i++) {
		struct handovers_found found;

		validated(&s, BAD, 0, 3);
		found = look(&s);
		cr_assert(!found.losing && !found.lost);
	}
}

Test(handovers, between_which_a_look_is_good_begin_anew)
{
	struct scene s = begun();
	int i;

	for (i = 0; i < 6; i++) {
		validated(&s, BAD, i & 1 ? 9 : 1, 9);
		s.c.opened += i & 1 ? 18 : 0;
		cr_assert_eq(look(&s).losing, 0);
	}
}

Test(handovers, that_a_full_listener_refuses_are_not_lost)
{
	struct scene s = begun();
	int i;

	for (i = 0; i < 3; i++) {
		struct handovers_found found;

		validated(&s, BAD, 10, 90);
		s.c.dropped += 98;
		found = look(&s);
		cr_assert(!found.losing && !found.lost);
	}
}

Test(handovers, of_clients_that_wait_are_seen_by_the_sum)
{
	struct scene s = begun();

	validated(&s, BAD, 8, 0);
	cr_assert_not(look(&s).lost);
	validated(&s, BAD, 8, 0);
	s.c.opened += 2;
	cr_assert(look(&s).lost);
	validated(&s, BAD, 8, 0);
	s.c.opened += 3;
	cr_assert_not(look(&s).lost);
}

Test(handovers, of_a_slot_that_changes_hands_are_the_new_services)
{
	struct scene s = begun();
	int i;

	s.c.service[BAD].validated = s.c.service[BAD].again = 0;
	for (i = 0; i < 2; i++)
		cr_assert_eq(look(&s).losing, 0);
}
