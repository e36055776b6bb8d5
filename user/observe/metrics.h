/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The guards of this namespace as Prometheus reads them (text exposition format 0.0.4). */
#ifndef SYNWARD_METRICS_H
#define SYNWARD_METRICS_H

#include <stdio.h>

#include "hooks.h"
#include "why.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metric {
	const char *name, *type, *labels, *text;
};

/* In order; the last one's name is NULL. */
extern const struct metric metrics_list[];

/* What cannot be read without privileges is left out. look NULL: hooks_look(). names_init() comes before. */
int metrics_write(FILE *f, const struct hooks_look *look, struct why *why);

#endif
