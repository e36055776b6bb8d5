// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "checks.h"
#include "members.h"
#include "path.h"
#include "pins.h"
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

static struct member *find(struct members *m, const char *name)
{
	int i;

	for (i = 0; i < m->count; i++) {
		if (!strcmp(m->item[i].name, name))
			return &m->item[i];
	}
	return NULL;
}

static struct member *add(struct members *m, const char *name)
{
	struct member *member = &m->item[m->count];

	if (m->count == MEMBERS_MAX)
		return NULL;
	m->count++;
	memset(member, 0, sizeof(*member));
	snprintf(member->name, sizeof(member->name), "%s", name);
	return member;
}

static void forget(struct member *member)
{
	host_maps_close(&member->maps);
	member->on = false;
	member->wait_ms = 0;
	member->trouble[0] = '\0';
}

static void drop(struct members *m, struct member *member)
{
	forget(member);
	*member = m->item[--m->count];
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

/* A running guard under a section of the file. */
static int update(struct members *m, struct member *member,
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

static void say_guarded(struct members *m, const struct member *member, bool renewed)
{
	log_say(m->log, LOG_NOTICE, member->name, "%s (%s XDP, %s, %s)",
		renewed ? "guard taken over" : "guarded", xdp_mode_name(member->info.xdp_mode),
		xdp_kind_name(member->info.attach_kind), tc_kind_name(member->info.tc_kind));
}

/* 1: there is no such interface now. */
static int put_on(struct members *m, struct member *member, const struct config *config,
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
	member->by_hand = false;
	member->info = result.info;
	member->wait_ms = 0;
	member->trouble[0] = '\0';
	say_guarded(m, member, result.renewed);
	return 0;
}

static void take_off(struct members *m, struct member *member)
{
	struct why why = {};

	if (helper_remove(m->helper, &member->guard, &why))
		log_say(m->log, LOG_ERR, member->name, "cannot take the guard off: %s", why.text);
	else
		log_say(m->log, LOG_NOTICE, member->name, "guard taken off");
	if (m->alive)
		m->alive(m->arg);
	forget(member);
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
	if (next->path != PATH_AUTO && next->path != (int)info->path)
		return cannot_change(why, member->name, "path", path_name(info->path));
	if (running && next->targets.flows != running->flows)
		return cannot_change(why, member->name, "flows", "another number of them");
	return 0;
}

/* Before anything is touched. */
static int check_fixed(struct members *m, const struct config *next, struct why *why)
{
	struct setup setup = {};
	int i, err = 0;

	for (i = 0; !err && i < next->interfaces; i++) {
		const struct member *member = find(m, next->interface[i].name);

		if (!member || !member->on)
			continue;
		setup_from(&setup, next, &next->interface[i]);
		err = check_one_fixed(member, &setup, config_interface(m->config, member->name),
				      why);
	}
	return err;
}

static void note_trouble(struct members *m, struct member *member, const struct why *why)
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

/* One interface of next. At the start a failure is noted; later it is everybody's. */
static int bring(struct members *m, const struct config *next,
		 const struct config_interface *interface, struct why *why)
{
	struct member *member = find(m, interface->name) ?: add(m, interface->name);
	int err;

	if (!member)
		return why_is(why, -E2BIG, "too many interfaces");
	if (member->on)
		return update(m, member, interface, why);
	err = put_on(m, member, next, interface, why);
	if (err > 0)
		return 0;
	if (err && !m->config) {
		note_trouble(m, member, why);
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
				take_off(m, member);
			continue;
		}
		interface = config_interface(m->config, member->name);
		if (member->on && interface && update(m, member, interface, &why))
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
			take_off(m, &m->item[i]);
		drop(m, &m->item[i]);
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
	struct member *to = find(m, name) ?: add(m, name);
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
	if (interface && update(m, to, interface, &why))
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
		m->item[i].on = false;
		m->item[i].maps.count = 0; /* the copy has them */
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
		forget(member);
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
	if (member->wait_ms && ifindex == member->guard.ifindex && now_ms() < member->next_try_ms)
		return;
	if (put_on(m, member, m->config, interface, &why) < 0)
		note_trouble(m, member, &why);
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
			drop(m, &m->item[i]);
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
	forget(member);
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

void members_refresh(struct members *m)
{
	const struct config_interface *interface;
	struct why why;
	int i;

	for (i = 0; i < m->count; i++) {
		interface = config_interface(m->config, m->item[i].name);
		if (m->item[i].on && interface && update(m, &m->item[i], interface, &why))
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

void members_remove(struct members *m)
{
	int i;

	for (i = 0; i < m->count; i++) {
		if (m->item[i].on)
			take_off(m, &m->item[i]);
	}
}

void members_close(struct members *m)
{
	while (m->count)
		forget(&m->item[--m->count]);
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
