/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Between members*.c and member.c; nobody else's. */
#ifndef SYNWARD_MEMBERS_PARTS_H
#define SYNWARD_MEMBERS_PARTS_H

#include "members.h"

struct member *members_find(struct members *m, const char *name);
struct member *members_add(struct members *m, const char *name); /* NULL: too many */
void members_drop(struct members *m, struct member *member);

/* Puts a guard on, or takes over the one that is on. 1: there is no such interface now. */
int member_put_on(struct members *m, struct member *member, const struct config *config,
		  const struct config_interface *interface, struct why *why);

/* A running guard under a section of the file. */
int member_update(struct members *m, struct member *member, const struct config *config,
		  const struct config_interface *interface, struct why *why);

/* The same for what the kernel's routes and firewall make of the section. */
int member_update_settings(struct members *m, struct member *member,
			   const struct config_interface *interface, struct why *why);

/*
 * To the proxy path, if the section asks for it, or leaves the choice and the guard's path no
 * longer suits. Where that was its own choice and fails, it stays and 0 is returned.
 */
int member_follow_path(struct members *m, struct member *member, const struct config *config,
		       const struct config_interface *interface, struct why *why);

/* To the proxy path, which setup asks for; where that fails the guard stays as it is. */
int member_change_path(struct members *m, struct member *member, const struct setup *setup,
		       const char *reason, struct why *why);

/* What failed and changed nothing is told once. */
void member_tell_trouble(struct members *m, struct member *member, const struct why *why);

void member_take_off(struct members *m, struct member *member);

/* Closes what is held of a guard, which itself stays as it is. */
void member_forget(struct member *member);

/* A guard could not be put on: said once, and tried again less and less often. */
void member_note_trouble(struct members *m, struct member *member, const struct why *why);
bool member_waits(const struct member *member); /* with the next try */

#endif
