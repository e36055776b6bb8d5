/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The names of verdicts and events, made from the lists both sides share. */
#ifndef SYNWARD_NAMES_H
#define SYNWARD_NAMES_H

#include "abi.h"

enum sw_action { SW_ACTION_PASS, SW_ACTION_TX, SW_ACTION_DROP };

#define NAME_SIZE 32

struct name {
	char name[NAME_SIZE]; /* lower case, once names_init() has run */
	const char *text;
	enum sw_action action; /* of verdicts only */
};

extern struct name names_verdict[SW_REASON_COUNT];
extern struct name names_event[SW_EVENT_COUNT];

/* Columns of stats, each a sum of verdicts or an event (counters.c). */
enum names_column_id {
	COLUMN_SYNS,
	COLUMN_SYNACKS,
	COLUMN_VALID,
	COLUMN_INVALID,
	COLUMN_HANDED,
	COLUMN_PASSED,
	COLUMN_DROPPED,
	COLUMN_FRAMES,
	NAMES_COLUMNS
};

struct names_column {
	const char *name;
	const char *text;
};

extern const struct names_column names_column[NAMES_COLUMNS];

void names_init(void);
const char *names_action(enum sw_action action);

#endif
