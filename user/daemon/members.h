/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The interfaces the daemon sees to: those its configuration names, be they there or not,
 * and one that was renamed since, which stays guarded until the next reload.
 */
#ifndef SYNWARD_MEMBERS_H
#define SYNWARD_MEMBERS_H

#include "config.h"
#include "events.h"
#include "handovers.h"
#include "helper.h"
#include "rotation.h"

struct member {
	char name[IF_NAMESIZE];
	bool by_hand; /* somebody else took the guard off: left so until a reload */
	bool on;      /* guarded: what follows is valid */
	struct guard guard;
	struct sw_info info;
	struct host_maps maps;
	struct rotation rotation;
	struct handovers handovers;
	__u64 losing_told; /* slots of services that lose connections and are to stay on their path */
	struct events *events; /* NULL: not read yet, or by another process */
	struct ports ports;   /* as last written: without those that are redirected */
	unsigned int wait_ms; /* between tries to put the guard on */
	__u64 next_try_ms;    /* CLOCK_MONOTONIC */
	char trouble[sizeof(
		((struct why *)0)->text)]; /* why not, as last said; "" if it is not there */
};

#define MEMBERS_MAX (2 * CONFIG_INTERFACES)

struct members {
	const struct log *log;
	const struct helper *helper;
	void (*alive)(void *arg); /* called between steps that take a while */
	void *arg;
	const struct config *config; /* in force; not ours to free */
	bool sweep_due;              /* interfaces are gone whose pins are still there */
	struct member item[MEMBERS_MAX];
	int count;
	const struct member *reading; /* whose events these are */
};

/*
 * Brings next into force, all of it or nothing: on failure what ran goes on running, under
 * the configuration before. At the first time interfaces that cannot be guarded are
 * retried later, unless none can.
 */
int members_apply(struct members *m, const struct config *next, struct why *why);

/* After interfaces came, went, or were renamed; also tries again what failed. */
void members_follow(struct members *m);

/* Sees whether somebody else took guards off or replaced them. */
void members_check(struct members *m);

/* Reads routes' metrics and the firewall's redirections again. */
void members_refresh(struct members *m);

/* Services that lose what is handed over for them are translated, where the choice is theirs. */
void members_look_at_handovers(struct members *m);

/* Brings new keys in where it is time. */
void members_rotate(struct members *m);

/* Writes to the log what the guards told since. */
void members_tell_events(struct members *m);

/* Takes every guard off. */
void members_remove(struct members *m);

void members_close(struct members *m);

/* "guarding eth0, eth1; waiting for eth2" */
void members_text(const struct members *m, char *ret, size_t size);

#endif
