// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_value.h"

#define DIGITS_MAX 18 /* what a __u64 holds for certain */

/* A number of decimal digits only: strtoul() would take signs and spaces. */
static int take_number(const char **at, __u64 *ret)
{
	const char *p = *at;
	__u64 value = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (p - *at == DIGITS_MAX)
			return -EINVAL;
		value = value * 10 + (*p - '0');
	}
	if (p == *at)
		return -EINVAL;
	*at = p;
	*ret = value;
	return 0;
}

static int take_duration(const char **at, __u64 *ret_ms)
{
	static const struct {
		const char *name;
		__u64 ms;
	} units[] = {{"ms", 1}, {"min", 60000}, {"s", 1000}, {"h", 3600000}, {"d", 86400000}, {}};
	__u64 value;
	int i;

	if (take_number(at, &value) || value > 1000000000)
		return -EINVAL;
	for (i = 0; units[i].name; i++) {
		size_t length = strlen(units[i].name);

		if (strncmp(*at, units[i].name, length))
			continue;
		*at += length;
		*ret_ms = value * units[i].ms;
		return 0;
	}
	return -EINVAL;
}

typedef int (*take)(const char **at, __u64 *ret);

/* text between what stands on both sides of allowed's "-". */
static int take_between(take take_one, const char *allowed, const char *text, __u64 *ret)
{
	__u64 least = 0, most = 0, value;

	if (take_one(&text, &value) || *text)
		return -EINVAL;
	take_one(&allowed, &least);
	allowed++;
	take_one(&allowed, &most);
	if (value < least || value > most)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int parse_number(const struct config_key *key, const char *text, void *ret)
{
	__u64 value;
	int err = take_between(take_number, key->allowed, text, &value);

	if (!err)
		*(config_number *)ret = value;
	return err;
}

static int parse_duration(const struct config_key *key, const char *text, void *ret)
{
	return take_between(take_duration, key->allowed, text, ret);
}

static int parse_word(const struct config_key *key, const char *text, void *ret)
{
	size_t length = strlen(text);
	const char *word = key->allowed;
	config_word index = 0;

	for (;; index++) {
		size_t size = strcspn(word, "|");

		if (size == length && !strncmp(word, text, size)) {
			*(config_word *)ret = index;
			return 0;
		}
		if (!word[size])
			return -EINVAL;
		word += size + 1;
	}
}

static int parse_ports(const struct config_key *key, const char *text, void *ret)
{
	config_ports *p = ret;

	p->any = false;
	return ports_parse(text, &p->ports, &p->any);
}

/* Lists take spaces around their commas; nothing else in a value may hold any. */
static void squeeze(const char *text, char ret[CONFIG_LINE_MAX])
{
	size_t length = 0;

	for (; *text && length < CONFIG_LINE_MAX - 1; text++) {
		if (*text != ' ' && *text != '\t')
			ret[length++] = *text;
	}
	ret[length] = '\0';
}

static int parse_prefixes(const struct config_key *key, const char *text, void *ret)
{
	config_prefixes *p = ret;
	char *save, *word;
	char list[CONFIG_LINE_MAX];

	*p = (config_prefixes){};
	if (!strcmp(text, "any")) {
		p->count = 1; /* ::/0 holds IPv4 too, as ::ffff:a.b.c.d */
		return 0;
	}
	squeeze(text, list);
	for (word = strtok_r(list, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (p->count == CONFIG_PREFIXES || prefix_parse(word, &p->item[p->count++]))
			return -EINVAL;
	}
	return p->count ? 0 : -EINVAL;
}

static int parse_targets(const struct config_key *key, const char *text, void *ret)
{
	config_targets *t = ret;
	char list[CONFIG_LINE_MAX];

	*t = (config_targets){};
	if (!strcmp(text, "own"))
		return 0;
	squeeze(text, list);
	return targets_add(t, list);
}

static int parse_flows(const struct config_key *key, const char *text, void *ret)
{
	struct targets t = {};
	int err = strcmp(text, "default") ? targets_flows(&t, text) : 0;

	if (!err)
		*(config_flows *)ret = t.flows;
	return err;
}

static int parse_ifname(const struct config_key *key, const char *text, void *ret)
{
	if (strlen(text) >= sizeof(config_ifname) || strchr(text, '/'))
		return -EINVAL;
	strcpy(ret, text);
	return 0;
}

static int parse_path(const struct config_key *key, const char *text, void *ret)
{
	if (*text && *text != '/')
		return -EINVAL;
	return snprintf(ret, sizeof(config_path), "%s", text) < (int)sizeof(config_path) ? 0
											 : -EINVAL;
}

static int parse_names(const struct config_key *key, const char *text, void *ret)
{
	squeeze(text, ret);
	return *(char *)ret ? 0 : -EINVAL;
}

static int parse_endpoint(const struct config_key *key, const char *text, void *ret)
{
	config_endpoint *e = ret;
	const char *colon = strrchr(text, ':'), *port_text = colon + 1;
	char host[64];
	__u64 port;

	*e = (config_endpoint){};
	if (!strcmp(text, "off"))
		return 0;
	if (!colon || take_number(&port_text, &port) || *port_text || !port || port > 65535)
		return -EINVAL;
	if (*text == '[' && colon[-1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)(colon - text - 2), text + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (*text != '[' && inet_pton(AF_INET, host, &e->ipv4.sin_addr) == 1) {
		e->ipv4.sin_family = AF_INET;
		e->ipv4.sin_port = htons(port);
		return 0;
	}
	if (*text != '[' || inet_pton(AF_INET6, host, &e->ipv6.sin6_addr) != 1)
		return -EINVAL;
	e->ipv6.sin6_family = AF_INET6;
	e->ipv6.sin6_port = htons(port);
	return 0;
}

#define KEY(section, field, key, type, fallback, allowed, text)                                    \
	{key,     parse_##type, offsetof(struct config_##section, field), #type, fallback,         \
	 allowed, text},

const struct config_key config_keys_synward[] = {
#define CONFIG_SYNWARD(...) KEY(synward, __VA_ARGS__)
#include "config_keys.def"
	{}};

const struct config_key config_keys_interface[] = {
#define CONFIG_INTERFACE(...) KEY(interface, __VA_ARGS__)
#include "config_keys.def"
	{}};

const struct config_key config_keys_service[] = {
#define CONFIG_SERVICE(...) KEY(service, __VA_ARGS__)
#include "config_keys.def"
	{}};

const struct config_section config_sections[] = {
	{"synward", NULL, config_keys_synward, "The machine as a whole; at most once"},
	{"interface", "NAME", config_keys_interface,
	 "One for each interface to guard; it need not exist yet"},
	{"service", "NAME", config_keys_service,
	 "What is guarded, and how; without any, whatever listens is, always"},
	{}};

int config_value(const struct config_key *key, const char *text, void *section)
{
	return key->parse(key, text, (char *)section + key->offset);
}

void config_defaults(const struct config_key *keys, void *section)
{
	for (; keys->name; keys++)
		config_value(keys, keys->fallback, section);
}
