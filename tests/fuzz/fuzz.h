/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef SYNWARD_FUZZ_H
#define SYNWARD_FUZZ_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpopts.h"

/* libFuzzer keeps the input of a run that aborts. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const __u8 *data, size_t size);

static inline int same_options(const struct sw_tcpopts *a, const struct sw_tcpopts *b)
{
	return a->mss == b->mss && a->wscale == b->wscale && a->flags == b->flags &&
	       a->tsval == b->tsval && a->tsecr == b->tsecr;
}

/* Reads options as the packet path does; rest stands in the buffer behind them. */
static inline struct sw_tcpopts read_options(const __u8 *data, __u32 length, int rest)
{
	struct sw_tcpopts one_by_one = {.wscale = SW_WSCALE_NONE};
	struct sw_optread r;
	__u32 at, next;

	memset(&r.buf, rest, sizeof(r.buf));
	memcpy(r.buf.byte, data, length);
	sw_optread_all(&r, length);
	for (at = 0; at < length; at = next) {
		next = sw_tcpopt_one(&r.buf, at, length, &one_by_one);
		MUST(next > at);
		MUST(next <= length);
	}
	MUST(same_options(&r.opts, &one_by_one));
	return r.opts;
}

#endif
