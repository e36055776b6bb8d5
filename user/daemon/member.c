// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "checks.h"
#include "members_parts.h"
#include "settings.h"
#include "tc.h"

#define TRY_FIRST_MS 4000
#define TRY_LAST_MS 60000

static __u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

void member_forget(struct member *member)
{
	host_maps_close(&member->maps);
	events_close(member->events);
	member->events = NULL;
	member->on = false;
	member->wait_ms = 0;
	member->trouble[0] = '\0';
}

/* A list of warnings that may not be worth saying. */
struct unsaid {
	const struct members *m;
	const struct member *member;
	char text[512];
};

static void remember(void *arg, const char *text)
{
	struct unsaid *unsaid = arg;
	size_t length = strlen(unsaid->text);

	snprintf(unsaid->text + length, sizeof(unsaid->text) - length, "%s%s", length ? "; " : "",
		 text);
}

/* What the file asks for, less what the firewall takes. */
static struct ports wanted_ports(struct members *m, const struct member *member,
				 const struct config_interface *interface)
{
	struct plan plan = {.ports = interface->ports.ports,
			    .ports_auto = interface->ports.any,
			    .path = member->info.path};
	struct unsaid unsaid = {.m = m, .member = member};
	struct check_scene scene = {&member->guard, &plan, remember, &unsaid};
	struct why ignored;

	check_nat(&scene, &ignored);
	if (unsaid.text[0] && memcmp(&plan.ports, &member->ports, sizeof(plan.ports)))
		log_say(m->log, LOG_WARNING, member->name, "%s", unsaid.text);
	return plan.ports;
}

static int write_info(struct member *member, bool ports_auto)
{
	__u32 zero = 0;

	if (member->info.ports_auto == ports_auto)
		return 0;
	member->info.ports_auto = ports_auto;
	return bpf_map_update_elem(host_maps_fd(&member->maps, "info"), &zero, &member->info,
				   BPF_ANY)
		       ? -errno
		       : 0;
}

static int update_targets(struct member *member, const struct config_interface *interface)
{
	struct proxy_settings settings = {
		.targets = &interface->to,
		.ports_auto = interface->ports.any,
		.generic = member->info.xdp_mode == SW_XDP_GENERIC,
	};

	if (member->info.path != SW_PATH_PROXY)
		return 0;
	return targets_fill(host_maps_fd(&member->maps, "targets"),
			    host_maps_fd(&member->maps, "proxy"), &settings);
}

int member_update_settings(struct members *m, struct member *member,
			   const struct config_interface *interface, struct why *why)
{
	struct ports ports = wanted_ports(m, member, interface);
	int err;

	err = settings_update(host_maps_fd(&member->maps, "config"),
			      host_maps_fd(&member->maps, "routes"), &ports);
	if (!err)
		err = update_targets(member, interface);
	if (!err)
		err = write_info(member, interface->ports.any);
	if (err)
		return why_is(why, err, "%s: cannot write the guard's settings: %s", member->name,
			      strerror(-err));
	member->ports = ports;
	return 0;
}

static int update_services(struct member *member, const struct config *config,
			   const struct config_interface *interface, struct why *why)
{
	struct services services;
	struct why text = {};
	int err;

	member->losing_told = 0;
	err = services_from_config(config, interface, &services, &text);
	if (!err) {
		err = services_apply(&member->maps, &services, &text);
		services_close_lists(&services);
	}
	return err ? why_is(why, err, "%s: %s", member->name, text.text) : 0;
}

int member_update(struct members *m, struct member *member, const struct config *config,
		  const struct config_interface *interface, struct why *why)
{
	int err = member_update_settings(m, member, interface, why);

	return err ?: update_services(member, config, interface, why);
}

static void say_guarded(struct members *m, const struct member *member, bool renewed)
{
	log_say(m->log, LOG_NOTICE, member->name, "%s (%s XDP, %s, %s)",
		renewed ? "guard taken over" : "guarded", xdp_mode_name(member->info.xdp_mode),
		xdp_kind_name(member->info.attach_kind), tc_kind_name(member->info.tc_kind));
}

int member_put_on(struct members *m, struct member *member, const struct config *config,
		  const struct config_interface *interface, struct why *why)
{
	struct setup setup = {};
	struct setup_result result;
	struct why text = {};
	int err;

	if (guard_by_name(member->name, &member->guard, &text))
		return 1;
	setup_from(&setup, config, interface);
	err = helper_guard(m->helper, &setup, &member->guard, &result, &member->maps, &text);
	if (m->alive)
		m->alive(m->arg);
	if (err)
		return why_is(why, err, "%s: %s", member->name, text.text);
	settings_ports(host_maps_fd(&member->maps, "config"), &member->ports);
	member->on = true;
	member->handovers = (struct handovers){};
	member->by_hand = false;
	member->info = result.info;
	member->wait_ms = 0;
	member->trouble[0] = '\0';
	say_guarded(m, member, result.renewed);
	return update_services(member, config, interface, why);
}

void member_take_off(struct members *m, struct member *member)
{
	struct why why = {};

	if (helper_remove(m->helper, &member->guard, &why))
		log_say(m->log, LOG_ERR, member->name, "cannot take the guard off: %s", why.text);
	else
		log_say(m->log, LOG_NOTICE, member->name, "guard taken off");
	if (m->alive)
		m->alive(m->arg);
	member_forget(member);
}

void member_note_trouble(struct members *m, struct member *member, const struct why *why)
{
	member->wait_ms = member->wait_ms ? 2 * member->wait_ms : TRY_FIRST_MS;
	if (member->wait_ms > TRY_LAST_MS)
		member->wait_ms = TRY_LAST_MS;
	member->next_try_ms = now_ms() + member->wait_ms;
	if (!strcmp(member->trouble, why->text))
		return;
	memcpy(member->trouble, why->text, sizeof(member->trouble));
	log_say(m->log, LOG_ERR, NULL, "%s; tried again every minute or sooner", why->text);
}

bool member_waits(const struct member *member)
{
	return member->wait_ms && now_ms() < member->next_try_ms;
}
