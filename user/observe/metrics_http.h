/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* GET /metrics and /healthz, and nothing else, from an event loop. */
#ifndef SYNWARD_METRICS_HTTP_H
#define SYNWARD_METRICS_HTTP_H

#include <sys/socket.h>

#include "hooks.h"
#include "loop.h"
#include "why.h"

struct metrics_http;

/* look: as for metrics_write(); not ours to free. */
int metrics_http_open(struct loop *loop, const struct sockaddr *where,
		      const struct hooks_look *look, struct metrics_http **ret, struct why *why);
void metrics_http_close(struct metrics_http *h); /* NULL: nothing */

#endif
