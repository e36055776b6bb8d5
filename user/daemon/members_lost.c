// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Services whose connections get no socket where they are handed over. */
#include <string.h>

#include "members_parts.h"
#include "path.h"

#define LOST "validated connections got no socket: a firewall, NAT or load balancer has them"

/* As things stand in the maps. */
struct standing {
	struct service_view view[SW_SERVICES];
	int count;
	__u64 open;       /* slots of services whose path is ours to choose ... */
	__u64 translated; /* ... and that are translated, or will be on the proxy path */
};

static int look(const struct member *member, struct standing *ret)
{
	int i;

	*ret = (struct standing){};
	ret->count = services_read(&member->maps, ret->view);
	for (i = 0; i < ret->count; i++) {
		const struct service_view *view = &ret->view[i];

		ret->open |= (__u64)(view->service.path == SW_SERVICE_AUTO) << view->slot;
		ret->translated |= (__u64)view->translated << view->slot;
	}
	return ret->count < 0 ? ret->count : 0;
}

static struct json_object *facts(const char *event, const char *service)
{
	struct json_object *obj = json_object_new_object();

	json_object_object_add(obj, "event", json_object_new_string(event));
	json_object_object_add(obj, "service", json_object_new_string(service));
	json_object_object_add(obj, "reason", json_object_new_string(LOST));
	return obj;
}

/* A line for each of these. */
static void tell(const struct members *m, const struct member *member, const struct standing *now,
		 __u64 slots, const char *event, const char *what)
{
	int i;

	for (i = 0; i < now->count; i++) {
		const char *name = now->view[i].service.name;

		if (slots >> now->view[i].slot & 1)
			log_event(m->log, LOG_WARNING, member->name, facts(event, name),
				  "service %s: %s" LOST, name, what);
	}
}

/* To stay where they are is what the file asks for; it is said once. */
static void tell_losing(const struct members *m, struct member *member, const struct standing *now,
			__u64 slots)
{
	tell(m, member, now, slots & ~member->losing_told, "service_losing",
	     "path = auto would have it translated: ");
	member->losing_told |= slots;
}

/* Those in use, if none stands out. */
static __u64 suspects(const struct handovers_found *found, enum sw_path path)
{
	if (found->lost || path != SW_PATH_COMPAT)
		return found->losing ?: found->lost ? found->in_use : 0;
	return 0; /* what follows may have to take all services along */
}

static void translate(struct members *m, struct member *member, const struct setup *setup,
		      const struct standing *now, __u64 slots)
{
	struct setup to_proxy = *setup;
	struct why why;
	int err;

	to_proxy.path = SW_PATH_PROXY;
	err = services_translate(&member->maps, slots, &why);
	/* With them, so that there is nothing to be lost on the other path again. */
	if (!err && member->info.path != SW_PATH_PROXY)
		err = member_change_path(m, member, &to_proxy, LOST, &why);
	if (!err) {
		tell(m, member, now, slots, "service_translated", "translated from now on: ");
		return;
	}
	member_tell_trouble(m, member, &why);
	member->handovers = (struct handovers){}; /* not at each look: a try may load programs */
}

static void look_at(struct members *m, struct member *member,
		    const struct config_interface *interface)
{
	struct handovers_found found = handovers_look(&member->handovers, &member->maps);
	__u64 slots = suspects(&found, member->info.path), ours;
	struct setup setup = {};
	struct standing now;

	if (!slots || look(member, &now))
		return;
	setup_from(&setup, m->config, interface);
	ours = slots & now.open;
	if (member->info.path != SW_PATH_PROXY && setup_path(&setup) != PATH_AUTO)
		ours = 0;
	else if (member->info.path == SW_PATH_PROXY)
		ours &= ~now.translated;
	if (ours)
		translate(m, member, &setup, &now, ours);
	else if (member->info.path != SW_PATH_PROXY)
		tell_losing(m, member, &now, slots);
	else
		tell_losing(m, member, &now, slots & ~now.translated);
}

void members_look_at_handovers(struct members *m)
{
	const struct config_interface *interface;
	struct member *member;

	for (member = m->item; member < m->item + m->count; member++) {
		interface = config_interface(m->config, member->name);
		if (member->on && interface)
			look_at(m, member, interface);
	}
}
