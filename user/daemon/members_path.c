// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Guards that cannot stay on the path they are on. */
#include <errno.h>
#include <string.h>

#include "members_parts.h"
#include "path.h"
#include "settings.h"

static struct json_object *facts(const struct member *member, enum sw_path from, const char *reason)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "event", json_object_new_string("path_changed"));
	json_object_object_add(obj, "from", json_object_new_string(path_name(from)));
	json_object_object_add(obj, "to", json_object_new_string(path_name(member->info.path)));
	json_object_object_add(obj, "reason", json_object_new_string(reason));
	return obj;
}

/* Its maps are others from now on, but for what both paths share. */
static int change(struct members *m, struct member *member, const struct setup *setup,
		  const char *reason, struct why *why)
{
	enum sw_path from = member->info.path;
	struct setup_result result;
	struct host_maps maps;
	struct why text = {};
	int err;

	err = helper_guard(m->helper, setup, &member->guard, &result, &maps, &text);
	if (m->alive)
		m->alive(m->arg);
	if (err)
		return why_is(why, err, "%s: cannot go to the proxy path (%s): %s", member->name,
			      reason, text.text);
	host_maps_close(&member->maps);
	member->maps = maps;
	member->info = result.info;
	settings_ports(host_maps_fd(&member->maps, "config"), &member->ports);
	log_event(m->log, LOG_WARNING, member->name, facts(member, from, reason),
		  "on the proxy path now, not %s: %s", path_name(from), reason);
	return 0;
}

/* A failure is told, once: the guard stays as it is. */
static void tell_trouble(struct members *m, struct member *member, const struct why *why)
{
	if (strcmp(member->trouble, why->text))
		log_say(m->log, LOG_ERR, NULL, "%s", why->text);
	memcpy(member->trouble, why->text, sizeof(member->trouble));
}

void members_look_at_handovers(struct members *m)
{
	static const char reason[] = "three of four connections it validated got no socket: a "
				     "firewall, NAT or load balancer has them";
	const struct config_interface *interface;
	struct setup setup = {};
	struct member *member;
	struct why why;

	for (member = m->item; member < m->item + m->count; member++) {
		interface = config_interface(m->config, member->name);
		if (!member->on || !interface || member->info.path == SW_PATH_PROXY)
			continue;
		setup_from(&setup, m->config, interface);
		if (setup_path(&setup) != PATH_AUTO ||
		    !handovers_are_lost(&member->handovers, &member->maps))
			continue;
		setup.path = SW_PATH_PROXY;
		if (change(m, member, &setup, reason, &why))
			tell_trouble(m, member, &why);
	}
}

int member_follow_path(struct members *m, struct member *member, const struct config *config,
		       const struct config_interface *interface, struct why *why)
{
	struct setup setup = {};
	struct why reason;
	int err;

	setup_from(&setup, config, interface);
	if (member->info.path == SW_PATH_PROXY)
		return 0;
	if (setup_path(&setup) == SW_PATH_PROXY)
		return change(m, member, &setup, "the configuration asks for it", why);
	if (!setup_outgrown(&setup, &member->guard, member->info.path, &reason))
		return 0;
	setup.path = SW_PATH_PROXY;
	err = change(m, member, &setup, reason.text, why);
	if (err)
		tell_trouble(m, member, why);
	return 0;
}
