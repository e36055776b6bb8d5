/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What must be right, or should be known, before an interface is guarded. A list of
 * questions, so that another command can ask the same ones.
 */
#ifndef SYNWARD_CHECKS_H
#define SYNWARD_CHECKS_H

#include "install.h"

/* What the questions are about, and where they tell what should be known. */
struct check_scene {
	const struct guard *guard;
	struct plan *plan; /* ports that must not be guarded are taken out of it */
	void (*warn)(void *arg, const char *text);
	void *arg;
};

struct check {
	const char *name;
	int (*run)(const struct check_scene *scene,
		   struct why *why); /* a negative errno: cannot guard */
};

/* Of the machine and the caller; scene's guard and plan may be NULL. Ends with an empty entry. */
extern const struct check checks_machine[];
/* Of one interface. */
extern const struct check checks_interface[];

/* Only 'synward doctor' asks: attach sees to it itself, or it is of a running guard. */
extern const struct check checks_more_machine[];
extern const struct check checks_more_interface[];
/* Of one that is guarded on the proxy path. */
extern const struct check checks_proxy[];

/* Until the first that says no. */
int checks_run(const struct check *checks, const struct check_scene *scene, struct why *why);

__attribute__((format(printf, 2, 3))) void check_warn(const struct check_scene *scene,
						      const char *format, ...);

/* What attach and detach cannot do without. */
int check_privileges(const struct check_scene *scene, struct why *why);

/* Whether the kernel makes connections of what is handed over here; not whether it can at all. */
int check_takes_cookies(const struct guard *g, struct why *why);

/* Takes the ports out of scene's plan that the firewall redirects, and warns of each. */
int check_nat(const struct check_scene *scene, struct why *why);

#endif
