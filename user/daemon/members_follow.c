// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What becomes of members when interfaces change, or somebody else changes their guards. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "members_parts.h"
#include "pins.h"

/* Pins of interfaces that are gone; later, if another has the lock. */
static void sweep(struct members *m)
{
	struct why ignored;
	int lock;

	if (!m->sweep_due)
		return;
	lock = pins_trylock(&ignored);
	if (lock < 0)
		return;
	install_sweep();
	close(lock);
	m->sweep_due = false;
}

static void follow_rename(struct members *m, const struct member *old, const char *name)
{
	const struct config_interface *interface = config_interface(m->config, name);
	struct member *to = members_find(m, name) ?: members_add(m, name);
	struct why why;

	if (!to)
		return;
	*to = *old;
	if (!strcmp(old->name, name))
		return;
	log_say(m->log, LOG_WARNING, old->name, "is called %s now and stays guarded%s", name,
		interface ? "" : " until the next reload, as no [interface] names it");
	snprintf(to->name, sizeof(to->name), "%s", name);
	snprintf(to->guard.ifname, sizeof(to->guard.ifname), "%s", name);
	if (interface && member_update(m, to, m->config, interface, &why))
		log_say(m->log, LOG_ERR, NULL, "%s", why.text);
}

/*
 * A guard goes with its interface, whose name may be another one's by now, which may be
 * guarded too: so all are taken out and put under the names they have.
 */
static void follow_renames(struct members *m)
{
	struct member *old = calloc(m->count, sizeof(*old));
	int count = 0, i;
	char name[IF_NAMESIZE];

	if (!old)
		return;
	for (i = 0; i < m->count; i++) {
		if (!m->item[i].on)
			continue;
		old[count++] = m->item[i];
		/* The copy has what it holds. */
		m->item[i].on = false;
		m->item[i].maps.count = 0;
		m->item[i].events = NULL;
	}
	for (i = 0; i < count; i++) {
		if (!if_indextoname(old[i].guard.ifindex, name))
			strcpy(name, old[i].name); /* gone in this moment; the next look sees it */
		follow_rename(m, &old[i], name);
	}
	free(old);
}

/* Sorts out guards whose interface is gone; true if some are called otherwise now. */
static bool look_at_names(struct members *m)
{
	char name[IF_NAMESIZE];
	bool renamed = false;
	int i;

	for (i = 0; i < m->count; i++) {
		struct member *member = &m->item[i];

		if (!member->on)
			continue;
		if (if_indextoname(member->guard.ifindex, name)) {
			renamed |= strcmp(name, member->name) != 0;
			continue;
		}
		log_say(m->log, LOG_NOTICE, member->name, "is gone; guarded again when it comes");
		member_forget(member);
		m->sweep_due = true;
	}
	return renamed;
}

/* Less and less often: each try may load programs. At once if it is another interface now. */
static void try_again(struct members *m, struct member *member)
{
	const struct config_interface *interface = config_interface(m->config, member->name);
	unsigned int ifindex = if_nametoindex(member->name);
	struct why why = {};

	if (member->on || member->by_hand || !interface || !ifindex)
		return;
	if (ifindex == member->guard.ifindex && member_waits(member))
		return;
	if (member_put_on(m, member, m->config, interface, &why) < 0)
		member_note_trouble(m, member, &why);
}

void members_follow(struct members *m)
{
	int i;

	if (look_at_names(m))
		follow_renames(m);
	sweep(m);
	for (i = 0; i < m->count; i++)
		try_again(m, &m->item[i]);
	for (i = m->count - 1; i >= 0; i--) {
		if (!m->item[i].on && !config_interface(m->config, m->item[i].name))
			members_drop(m, &m->item[i]);
	}
}

static __u32 map_id(int fd)
{
	struct bpf_map_info info = {};
	__u32 length = sizeof(info);

	return fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length) ? 0 : info.id;
}

/* Whether the guard is the one whose maps we hold: a command may have taken it off. */
static void check_hold(struct members *m, struct member *member)
{
	int fd = pins_open_readonly(&member->guard, "info");
	bool same = map_id(fd) == map_id(host_maps_fd(&member->maps, "info"));

	if (fd >= 0)
		close(fd);
	if (same)
		return;
	log_say(m->log, LOG_WARNING, member->name,
		"%s by hand; 'synward reload' takes it into care again",
		fd >= 0 ? "guarded anew" : "guard taken off");
	member_forget(member);
	member->by_hand = true;
}

void members_check(struct members *m)
{
	int i;

	for (i = 0; i < m->count; i++) {
		if (m->item[i].on)
			check_hold(m, &m->item[i]);
	}
}
