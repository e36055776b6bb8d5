/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Sets of ports, as the bits of struct sw_config, and as text: 80,443,8000-8100. */
#ifndef SYNWARD_PORTS_H
#define SYNWARD_PORTS_H

#include <stdbool.h>

#include "abi.h"

#define PORT_MAX 65535

struct ports {
	__u64 word[SW_PORT_WORDS];
};

static inline bool ports_have(const struct ports *p, unsigned int port)
{
	return p->word[port / 64] >> (port % 64) & 1;
}

/* Any of first to last. */
bool ports_have_any(const struct ports *p, unsigned int first, unsigned int last);

void ports_all(struct ports *ret);
void ports_set(struct ports *p, unsigned int first, unsigned int last, bool value);

/* -EINVAL if text is no list of ports; "auto" means all. */
int ports_parse(const char *text, struct ports *ret, bool *ret_auto);

/* The list as text, to be freed; NULL if memory is short. */
char *ports_text(const struct ports *p);

#endif
