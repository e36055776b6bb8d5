// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>

#include "members_parts.h"
#include "path.h"

struct member *members_find(struct members *m, const char *name)
{
	int i;

	for (i = 0; i < m->count; i++) {
		if (!strcmp(m->item[i].name, name))
			return &m->item[i];
	}
	return NULL;
}

struct member *members_add(struct members *m, const char *name)
{
	struct member *member = &m->item[m->count];

	if (m->count == MEMBERS_MAX)
		return NULL;
	m->count++;
	memset(member, 0, sizeof(*member));
	snprintf(member->name, sizeof(member->name), "%s", name);
	return member;
}

void members_drop(struct members *m, struct member *member)
{
	member_forget(member);
	*member = m->item[--m->count];
}

static int cannot_change(struct why *why, const char *name, const char *key, const char *running)
{
	return why_is(why, -EBUSY,
		      "%s: %s: the guard is on with %s, which cannot change while it runs; "
		      "'synward detach %s' first",
		      name, key, running, name);
}

/* What no reload can change. */
static int check_one_fixed(const struct member *member, const struct setup *next,
			   const struct config_interface *running, struct why *why)
{
	const struct sw_info *info = &member->info;

	if (next->mode != SETUP_MODE_AUTO && next->mode != (int)info->xdp_mode)
		return cannot_change(why, member->name, "xdp", xdp_mode_name(info->xdp_mode));
	if (next->kind != (int)info->attach_kind)
		return cannot_change(why, member->name, "attach", xdp_kind_name(info->attach_kind));
	if (setup_path(next) != PATH_AUTO && setup_path(next) != SW_PATH_PROXY &&
	    setup_path(next) != (int)info->path)
		return cannot_change(why, member->name, "path", path_name(info->path));
	if (info->path != SW_PATH_PROXY)
		return 0;
	if (running && next->targets.flows != running->flows)
		return cannot_change(why, member->name, "flows", "another number of them");
	if (running && strcmp(next->forward, running->forward))
		return cannot_change(why, member->name, "forward",
				     running->forward[0] ? running->forward : "none");
	return 0;
}

/* Before anything is touched. */
static int check_fixed(struct members *m, const struct config *next, struct why *why)
{
	struct setup setup = {};
	int i, err = 0;

	for (i = 0; !err && i < next->interfaces; i++) {
		const struct member *member = members_find(m, next->interface[i].name);

		if (!member || !member->on)
			continue;
		setup_from(&setup, next, &next->interface[i]);
		err = check_one_fixed(member, &setup, config_interface(m->config, member->name),
				      why);
	}
	return err;
}

/* One interface of next. At the start a failure is noted; later it is everybody's. */
static int bring(struct members *m, const struct config *next,
		 const struct config_interface *interface, struct why *why)
{
	struct member *member = members_find(m, interface->name) ?: members_add(m, interface->name);
	int err;

	if (!member)
		return why_is(why, -E2BIG, "too many interfaces");
	if (member->on) {
		err = member_follow_path(m, member, next, interface, why);
		return err ?: member_update(m, member, next, interface, why);
	}
	err = member_put_on(m, member, next, interface, why);
	if (err > 0)
		return 0;
	if (err && !m->config) {
		member_note_trouble(m, member, why);
		return 0;
	}
	return err;
}

/* Guards that were on before keep the old section, others go. */
static void go_back(struct members *m, int count_before, const bool *was_on)
{
	const struct config_interface *interface;
	struct why why;
	int i;

	for (i = m->count - 1; i >= 0; i--) {
		struct member *member = &m->item[i];

		if (i >= count_before || !was_on[i]) {
			if (member->on)
				member_take_off(m, member);
			continue;
		}
		interface = config_interface(m->config, member->name);
		if (member->on && interface && member_update(m, member, m->config, interface, &why))
			log_say(m->log, LOG_ERR, NULL, "%s", why.text);
	}
	m->count = count_before;
}

static void leave_others(struct members *m, const struct config *next)
{
	int i;

	for (i = m->count - 1; i >= 0; i--) {
		if (config_interface(next, m->item[i].name))
			continue;
		if (m->item[i].on)
			member_take_off(m, &m->item[i]);
		members_drop(m, &m->item[i]);
	}
}

/* At the start: something is guarded, or nothing is there to be guarded yet. */
static int check_start(const struct members *m, struct why *why)
{
	int i, troubled = 0;

	for (i = 0; i < m->count; i++) {
		if (m->item[i].on)
			return 0;
		if (m->item[i].trouble[0] && !troubled++)
			memcpy(why->text, m->item[i].trouble, sizeof(why->text));
	}
	return troubled ? -EIO : 0;
}

int members_apply(struct members *m, const struct config *next, struct why *why)
{
	int i, err, before = m->count;
	bool was_on[MEMBERS_MAX];

	for (i = 0; i < before; i++)
		was_on[i] = m->item[i].on;
	err = check_fixed(m, next, why);
	if (err)
		return err;
	for (i = 0; !err && i < next->interfaces; i++)
		err = bring(m, next, &next->interface[i], why);
	if (err) {
		go_back(m, before, was_on);
		return err;
	}
	if (!m->config)
		err = check_start(m, why);
	if (err)
		return err;
	leave_others(m, next);
	m->config = next;
	return 0;
}

void members_refresh(struct members *m)
{
	const struct config_interface *interface;
	struct why why;
	int i;

	for (i = 0; i < m->count; i++) {
		struct member *member = &m->item[i];

		interface = config_interface(m->config, member->name);
		if (!member->on || !interface)
			continue;
		if (member_follow_path(m, member, m->config, interface, &why) ||
		    member_update_settings(m, member, interface, &why))
			log_say(m->log, LOG_ERR, NULL, "%s", why.text);
	}
}

void members_rotate(struct members *m)
{
	int i;

	for (i = 0; i < m->count; i++) {
		if (m->item[i].on)
			rotation_tick(&m->item[i].rotation, m->log, m->item[i].name,
				      &m->item[i].maps, &m->config->synward);
	}
}

static void tell_event(const struct sw_notice *notice, void *arg)
{
	const struct members *m = arg;
	char text[256];

	events_text(notice, text, sizeof(text));
	log_event(m->log, notice->kind == SW_NOTICE_DISARMED ? LOG_NOTICE : LOG_WARNING,
		  m->reading->name, events_json(notice, m->reading->name), "%s", text);
}

void members_tell_events(struct members *m)
{
	struct member *member;
	struct why ignored;

	for (member = m->item; member < m->item + m->count; member++) {
		if (!member->on)
			continue;
		/* While `synward events` reads them they are told there. */
		if (!member->events &&
		    events_open(&member->guard, -1, tell_event, m, &member->events, &ignored))
			continue;
		m->reading = member;
		events_read(member->events);
	}
}

void members_remove(struct members *m)
{
	int i;

	for (i = 0; i < m->count; i++) {
		if (m->item[i].on)
			member_take_off(m, &m->item[i]);
	}
}

void members_close(struct members *m)
{
	while (m->count)
		member_forget(&m->item[--m->count]);
}

static size_t list(const struct members *m, bool on, const char *head, char *ret, size_t size)
{
	size_t length = 0;
	int i, listed = 0;

	for (i = 0; i < m->count; i++) {
		if (m->item[i].on == on && length < size)
			length += snprintf(ret + length, size - length, "%s%s",
					   listed++ ? ", " : head, m->item[i].name);
	}
	return length;
}

void members_text(const struct members *m, char *ret, size_t size)
{
	size_t length = list(m, true, "guarding ", ret, size);

	if (length < size)
		list(m, false, length ? "; waiting for " : "waiting for ", ret + length,
		     size - length);
}
