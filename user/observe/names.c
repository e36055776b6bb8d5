// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <ctype.h>

#include "names.h"

struct name names_verdict[] = {
#define SW_REASON(name, action, text) [SW_##name] = {#name, text, SW_ACTION_##action},
#include "reason.def"
#undef SW_REASON
};

struct name names_event[] = {
#define SW_EVENT(name, text) [SW_EV_##name] = {#name, text, 0},
#include "event.def"
#undef SW_EVENT
};

const struct names_column names_column[] = {
	[COLUMN_SYNS] = {"syns", "SYNs to guarded listeners, however they were judged"},
	[COLUMN_SYNACKS] = {"synacks", "SYNs answered with a SYN cookie"},
	[COLUMN_VALID] = {"valid", "ACKs with a valid cookie"},
	[COLUMN_INVALID] = {"invalid", "ACKs of no connection, without a valid cookie"},
	[COLUMN_HANDED] = {"handed", "connections given to their listener"},
	[COLUMN_PASSED] = {"passed", "frames left to the kernel"},
	[COLUMN_DROPPED] = {"dropped", "frames dropped"},
	[COLUMN_FRAMES] = {"frames", "frames seen"},
};

static void lower(char *name)
{
	for (; *name; name++)
		*name = (char)tolower((unsigned char)*name);
}

void names_init(void)
{
	int i;

	for (i = 0; i < SW_REASON_COUNT; i++)
		lower(names_verdict[i].name);
	for (i = 0; i < SW_EVENT_COUNT; i++)
		lower(names_event[i].name);
}

const char *names_action(enum sw_action action)
{
	static const char *const text[] = {"pass", "tx", "drop"};

	return text[action];
}
