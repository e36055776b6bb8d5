/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Guarding an interface, whatever is on it now: what the command attach and the daemon
 * share. Decides what install.h is then told to do.
 */
#ifndef SYNWARD_SETUP_H
#define SYNWARD_SETUP_H

#include "config.h"
#include "install.h"

enum { SETUP_MODE_AUTO = 0 };    /* beside enum sw_xdp_mode: native where replies leave at once */
enum { SETUP_KIND_RUNNING = 0 }; /* beside enum sw_attach_kind: what runs, libxdp at first */

struct setup {
	struct ports ports;
	struct services services; /* none: whatever listens, always */
	bool services_stay;	  /* of a guard that runs: whoever gets its maps applies them */
	bool ports_auto;
	int mode;
	int kind;
	int path;               /* an enum sw_path or PATH_AUTO */
	unsigned int service_paths; /* services_paths() of all that are to be guarded */
	struct targets targets; /* proxy path */
	char forward[IF_NAMESIZE]; /* proxy path: the interface of the servers; "": none */
	bool keep_syncookies;   /* refuse rather than set net.ipv4.tcp_syncookies */
	char key_file[200]; /* "": keys of this machine's own; of a guard that runs, those it has */
	void (*warn)(void *arg, const char *text);
	void *arg;
};

struct setup_result {
	struct sw_info info;
	bool renewed; /* it was guarded before */
};

/* What a section of the configuration file asks for; warn and arg stay. */
void setup_from(struct setup *s, const struct config *config,
		const struct config_interface *interface);

/* An enum sw_path or PATH_AUTO: what is asked for beside the path may leave only one. */
int setup_path(const struct setup *s);

/*
 * On the proxy path: whether listeners of this machine's own may get their connections handed
 * over. ret_lacks: why the kernel cannot where they might otherwise; else empty.
 */
bool setup_hands_over(const struct setup *s, const struct guard *g, struct why *ret_lacks);

/*
 * The path for a guard that is not on yet: the one asked for, or of auto the best that can go
 * here, and a warning why it is not a better one.
 */
int setup_choose_path(const struct setup *s, const struct guard *g, enum sw_path *ret,
		      struct why *why);

/* auto, on a guard that runs: it can stay on its path no longer, but go to the proxy path; *ret: why. */
bool setup_outgrown(const struct setup *s, const struct guard *g, enum sw_path running,
		    struct why *ret);

/* Whether this machine and this caller can guard anything. */
int setup_check_machine(const struct setup *s, struct why *why);

/* Attaches or renews; waits for others that do so. keep (may be NULL) gets the guard's maps. */
int setup_guard(const struct setup *s, const struct guard *g, struct setup_result *ret,
		struct host_maps *keep, struct why *why);

#endif
