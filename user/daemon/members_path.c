// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Guards that cannot stay on the path they are on. */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

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

/* Its programs are new from now on, and on another path its maps, but for what both share. */
static int renew(struct members *m, struct member *member, const struct setup *setup,
		 struct why *why)
{
	struct setup_result result;
	struct host_maps maps;
	int err;

	err = helper_guard(m->helper, setup, &member->guard, &result, &maps, why);
	if (m->alive)
		m->alive(m->arg);
	if (err)
		return err;
	host_maps_close(&member->maps);
	member->maps = maps;
	member->info = result.info;
	member->handovers = (struct handovers){};
	settings_ports(host_maps_fd(&member->maps, "config"), &member->ports);
	return 0;
}

int member_change_path(struct members *m, struct member *member, const struct setup *setup,
		       const char *reason, struct why *why)
{
	enum sw_path from = member->info.path;
	struct why text = {};
	int err = renew(m, member, setup, &text);

	if (err)
		return why_is(why, err, "%s: cannot go to the proxy path (%s): %s", member->name,
			      reason, text.text);
	log_event(m->log, LOG_WARNING, member->name, facts(member, from, reason),
		  "on the proxy path now, not %s: %s", path_name(from), reason);
	return 0;
}

void member_tell_trouble(struct members *m, struct member *member, const struct why *why)
{
	if (strcmp(member->trouble, why->text))
		log_say(m->log, LOG_ERR, NULL, "%s", why->text);
	memcpy(member->trouble, why->text, sizeof(member->trouble));
}

/* Whether listeners of this machine's own are handed their connections follows their services. */
static int follow_hands_over(struct members *m, struct member *member, const struct setup *setup,
			     struct why *why)
{
	struct sw_proxy proxy;
	struct why lacks, text = {};
	__u32 zero = 0;
	int err;

	if (bpf_map_lookup_elem(host_maps_fd(&member->maps, "proxy"), &zero, &proxy) ||
	    proxy.hands_over == setup_hands_over(setup, &member->guard, &lacks))
		return 0;
	err = renew(m, member, setup, &text);
	return err ? why_is(why, err, "%s: %s", member->name, text.text) : 0;
}

int member_follow_path(struct members *m, struct member *member, const struct config *config,
		       const struct config_interface *interface, struct why *why)
{
	struct setup setup = {};
	struct why reason;
	int err;

	setup_from(&setup, config, interface);
	if (member->info.path == SW_PATH_PROXY)
		return follow_hands_over(m, member, &setup, why);
	if (setup_path(&setup) == SW_PATH_PROXY)
		return member_change_path(m, member, &setup, "the configuration asks for it", why);
	if (!setup_outgrown(&setup, &member->guard, member->info.path, &reason))
		return 0;
	setup.path = SW_PATH_PROXY;
	err = member_change_path(m, member, &setup, reason.text, why);
	if (err)
		member_tell_trouble(m, member, why);
	return 0;
}
