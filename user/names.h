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

void names_init(void);
const char *names_action(enum sw_action action);

#endif
