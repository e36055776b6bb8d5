/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What `synward top` shows: rates of a guard and their past, and where segments come from. */
#ifndef SYNWARD_TOP_DATA_H
#define SYNWARD_TOP_DATA_H

#include "counters.h"
#include "keys.h"
#include "services.h"
#include "tracer.h"

#define TOP_HISTORY 240 /* seconds */
#define TOP_SOURCES 256

/* A /24 or /48 and its weight: frames it is thought to have sent, those of earlier seconds for less. */
struct top_source {
	__u64 addr_hi, addr_lo; /* as in struct sw_tuple */
	bool v6;
	double weight;
};

/* A service and its past. It is told from others by its slot. */
struct top_service {
	struct service_view view;
	double syns[TOP_HISTORY]; /* a second; [0] is the latest */
};

struct top {
	struct guard guard;
	struct sw_info info;
	int counters_fd;
	struct sw_counters now, before;
	double length_s; /* between the two */
	__u64 read_ns;	 /* CLOCK_MONOTONIC; 0: not yet */
	double history[NAMES_COLUMNS][TOP_HISTORY]; /* a second; [0] is the latest */
	int history_count;
	struct host_maps maps;	/* of services; none: they cannot be read */
	struct top_service service[SW_SERVICES]; /* in the order they count */
	__u64 syns[SW_SERVICES]; /* by slot: what was counted so far */
	int services;
	bool has_keys;
	struct keys_state keys;
	bool has_sources; /* else why_sources says why not */
	struct why why_sources;
	struct tracer tracer;
	struct tracer_position *position;
	struct top_source source[TOP_SOURCES];
	double source_weight; /* of all samples, those with no place in the table too */
};

/* ifname NULL: the first guarded interface of this namespace. */
int top_open(struct top *t, const char *ifname, struct why *why);
int top_read(struct top *t, struct why *why);
void top_close(struct top *t);

double top_verdict_rate(const struct top *t, int reason);

/* Rate of what the sources are a sample of. */
double top_unproven_rate(const struct top *t);

#endif
