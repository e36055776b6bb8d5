// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include <criterion/criterion.h>

#include "services_policy.h"

#define AUTO  SW_SERVICE_AUTO
#define HOST  SW_SERVICE_HOST
#define PROXY SW_SERVICE_PROXY

static void name(struct sw_service *s, const char *name, enum sw_service_path path)
{
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->mode = SW_MODE_ALWAYS;
	s->path = path;
}

static struct services two(enum sw_service_path web, enum sw_service_path mail)
{
	struct services s = {.count = 2};

	memset(s.list_fd, -1, sizeof(s.list_fd));
	name(&s.service[0], "web", web);
	name(&s.service[1], "mail", mail);
	return s;
}

/* Services as they come one after the other. */
static struct sw_policy follow(const struct sw_policy *old, struct services s)
{
	int list_of_slot[SW_SERVICES];
	struct sw_policy p;

	services_policy(&s, old, 1, &p, list_of_slot);
	return p;
}

static const struct sw_policy none;

Test(services, is_translated_where_its_path_says_so)
{
	cr_assert_eq(follow(&none, two(AUTO, AUTO)).translated, 0);
	cr_assert_eq(follow(&none, two(HOST, PROXY)).translated, 1ULL << 1);
	cr_assert_eq(follow(&none, two(PROXY, AUTO)).translated, 1ULL << 0);
}

Test(services, keep_what_was_learned_of_them)
{
	struct sw_policy learned = follow(&none, two(AUTO, AUTO));

	learned.translated = 1ULL << 1;
	cr_assert_eq(follow(&learned, two(AUTO, AUTO)).translated, 1ULL << 1);
	cr_assert_eq(follow(&learned, two(HOST, AUTO)).translated, 1ULL << 1);
}

Test(services, forget_what_was_learned_with_the_path_or_the_name)
{
	struct sw_policy learned = follow(&none, two(AUTO, AUTO)), asked;
	struct services other = two(AUTO, AUTO);

	learned.translated = 1ULL << 1;
	cr_assert_eq(follow(&learned, two(AUTO, HOST)).translated, 0);
	asked = follow(&learned, two(AUTO, PROXY));
	cr_assert_eq(asked.translated, 1ULL << 1);
	cr_assert_eq(follow(&asked, two(AUTO, AUTO)).translated, 0, "it was asked for, not learned");
	strcpy(other.service[1].name, "other");
	cr_assert_eq(follow(&learned, other).translated, 0);
	other.count = 1;
	asked = follow(&learned, other);
	cr_assert_eq(follow(&asked, two(AUTO, AUTO)).translated, 0, "gone in between");
}

Test(services, whose_path_is_open_are_known_by_their_slots)
{
	struct sw_policy p = follow(&none, two(AUTO, HOST));

	cr_assert_eq(services_policy_auto(&none), 0);
	cr_assert_eq(services_policy_auto(&p), 1ULL << 0);
}

static struct sw_service service_of(const struct config_interface *interface, int path)
{
	static struct config config;
	struct sw_service ret[SW_SERVICES];

	config.service[0] = (struct config_service){.name = "web", .path = path, .address.count = 1};
	ports_all(&config.service[0].ports.ports);
	config.services = 1;
	cr_assert_eq(config_services(&config, interface, ret), 1);
	return ret[0];
}

static struct sw_service only_service(int interface_path, int path)
{
	struct config_interface interface = {.path = interface_path, .service_mask = 1};

	return service_of(&interface, path);
}

Test(services, left_open_in_front_of_servers_that_are_named_are_translated)
{
	struct config_interface interface = {.to.count = 1, .service_mask = 1};

	cr_assert_eq(service_of(&interface, AUTO).path, PROXY);
	cr_assert_eq(service_of(&interface, HOST).path, HOST);
}

Test(services, left_open_on_the_proxy_path_by_name_are_translated)
{
	static const struct config nothing = {.interface = {{.path = SW_PATH_PROXY}}};
	struct sw_service ret[SW_SERVICES];

	cr_assert_eq(only_service(0, AUTO).path, AUTO);
	cr_assert_eq(only_service(SW_PATH_HOST, AUTO).path, AUTO);
	cr_assert_eq(only_service(SW_PATH_PROXY, AUTO).path, PROXY);
	cr_assert_eq(only_service(SW_PATH_PROXY, HOST).path, HOST);
	cr_assert_eq(only_service(0, PROXY).path, PROXY);
	cr_assert_eq(config_services(&nothing, &nothing.interface[0], ret), 1);
	cr_assert_eq(ret[0].path, PROXY);
}
