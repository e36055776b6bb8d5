// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * DNAT and redirect rules of nftables, from its JSON (libnftables-json(5)). Read as far
 * as a port can be told; what a rule matches beside port and interface is not looked at.
 */
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "nat.h"

struct search {
	const char *ifname;
	nat_found found;
	void *arg;
	struct nat_rule rule; /* the one being read */
	bool elsewhere;       /* it is for another interface or protocol */
	bool ports;           /* it names ports */
};

static struct json_object *get(struct json_object *obj, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(obj, json_type_object))
		json_object_object_get_ex(obj, key, &value);
	return value;
}

static const char *get_text(struct json_object *obj, const char *key)
{
	struct json_object *value = get(obj, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

static void tell(struct search *s, int first, int last)
{
	if (first < 1 || last > 65535 || last < first)
		return;
	s->ports = true;
	s->rule.first = first;
	s->rule.last = last;
	s->found(s->arg, &s->rule);
}

/* A port, a range or a set of both: 80, {"range": [1, 9]}, {"set": [...]}. */
static void read_ports(struct search *s, struct json_object *value)
{
	struct json_object *range = get(value, "range"), *set = get(value, "set");
	size_t i;

	if (json_object_is_type(value, json_type_int))
		tell(s, json_object_get_int(value), json_object_get_int(value));
	if (json_object_is_type(range, json_type_array) && json_object_array_length(range) == 2)
		tell(s, json_object_get_int(json_object_array_get_idx(range, 0)),
		     json_object_get_int(json_object_array_get_idx(range, 1)));
	if (!json_object_is_type(set, json_type_array))
		return;
	for (i = 0; i < json_object_array_length(set); i++) {
		struct json_object *item = json_object_array_get_idx(set, i);

		/* An entry of a map is a pair: its key counts. */
		if (json_object_is_type(item, json_type_array))
			item = json_object_array_get_idx(item, 0);
		read_ports(s, item);
	}
}

static bool is_dport(struct json_object *left)
{
	struct json_object *payload = get(left, "payload");
	const char *protocol = get_text(payload, "protocol");

	return !strcmp(get_text(payload, "field"), "dport") &&
	       (!strcmp(protocol, "tcp") || !strcmp(protocol, "th"));
}

static bool is_other_protocol(struct json_object *left, struct json_object *right)
{
	const char *payload = get_text(get(left, "payload"), "protocol");
	const char *key = get_text(get(left, "meta"), "key");

	if (!strcmp(payload, "udp") || !strcmp(payload, "sctp"))
		return true;
	return !strcmp(key, "l4proto") && json_object_is_type(right, json_type_string) &&
	       strcmp(json_object_get_string(right), "tcp");
}

static bool is_other_interface(struct search *s, struct json_object *left,
			       struct json_object *right, bool equal)
{
	const char *key = get_text(get(left, "meta"), "key");

	if (strcmp(key, "iifname") && strcmp(key, "iif"))
		return false;
	if (!json_object_is_type(right, json_type_string))
		return false;
	return !strcmp(json_object_get_string(right), s->ifname) != equal;
}

/* First pass over a rule: is it for us at all? */
static void read_conditions(struct search *s, struct json_object *match)
{
	struct json_object *left = get(match, "left"), *right = get(match, "right");
	bool equal = strcmp(get_text(match, "op"), "!=");

	if (is_other_interface(s, left, right, equal) || (equal && is_other_protocol(left, right)))
		s->elsewhere = true;
}

/* "dnat to tcp dport map { 80 : ... }": the ports stand in the statement itself. */
static void read_maps(struct search *s, struct json_object *value)
{
	struct json_object *map = get(value, "map");

	if (map && is_dport(get(map, "key")))
		read_ports(s, get(map, "data"));
	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, key, child)
		{
			(void)key;
			if (child != map)
				read_maps(s, child);
		}
	}
}

static struct json_object *redirection(struct json_object *statement)
{
	struct json_object *dnat = get(statement, "dnat");
	struct json_object *redirect;

	if (dnat)
		return dnat;
	/* A bare "redirect" has no arguments: its value is null, but the key is there. */
	return json_object_object_get_ex(statement, "redirect", &redirect) ? statement : NULL;
}

static void read_rule(struct search *s, struct json_object *rule)
{
	struct json_object *expr = get(rule, "expr"), *statement, *to = NULL;
	size_t count, i;

	if (!json_object_is_type(expr, json_type_array))
		return;
	count = json_object_array_length(expr);
	s->elsewhere = s->ports = false;
	for (i = 0; i < count; i++) {
		statement = json_object_array_get_idx(expr, i);
		if (!json_object_is_type(statement, json_type_object))
			continue;
		read_conditions(s, get(statement, "match"));
		to = redirection(statement) ?: to;
	}
	if (!to || s->elsewhere)
		return;
	snprintf(s->rule.where, sizeof(s->rule.where), "nft %s %s %s", get_text(rule, "family"),
		 get_text(rule, "table"), get_text(rule, "chain"));
	for (i = 0; i < count; i++) {
		struct json_object *match = get(json_object_array_get_idx(expr, i), "match");

		if (match && is_dport(get(match, "left")))
			read_ports(s, get(match, "right"));
	}
	read_maps(s, to);
	if (!s->ports) {
		s->rule.first = s->rule.last = 0;
		s->found(s->arg, &s->rule);
	}
}

/* Chains that see only what this machine sends; all others count as reachable. */
static bool is_outgoing(struct json_object *list, struct json_object *rule)
{
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *chain = get(json_object_array_get_idx(list, i), "chain");
		const char *hook = get_text(chain, "hook");

		if (strcmp(hook, "output") && strcmp(hook, "postrouting"))
			continue;
		if (!strcmp(get_text(chain, "family"), get_text(rule, "family")) &&
		    !strcmp(get_text(chain, "table"), get_text(rule, "table")) &&
		    !strcmp(get_text(chain, "name"), get_text(rule, "chain")))
			return true;
	}
	return false;
}

void nat_each_nft(const char *json, const char *ifname, nat_found found, void *arg)
{
	struct search s = {.ifname = ifname, .found = found, .arg = arg};
	struct json_object *root = json_tokener_parse(json), *list = get(root, "nftables"), *rule;
	size_t i;

	if (json_object_is_type(list, json_type_array)) {
		for (i = 0; i < json_object_array_length(list); i++) {
			rule = get(json_object_array_get_idx(list, i), "rule");
			if (rule && !is_outgoing(list, rule))
				read_rule(&s, rule);
		}
	}
	json_object_put(root);
}

static bool is_nat_chain(struct json_object *list, struct json_object *rule)
{
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *chain = get(json_object_array_get_idx(list, i), "chain");

		if (!strcmp(get_text(chain, "type"), "nat") &&
		    !strcmp(get_text(chain, "family"), get_text(rule, "family")) &&
		    !strcmp(get_text(chain, "table"), get_text(rule, "table")) &&
		    !strcmp(get_text(chain, "name"), get_text(rule, "chain")))
			return true;
	}
	return false;
}

/* A chain alone changes nothing until connections are tracked, which a rule in it asks for. */
bool nat_is_on_nft(const char *json, bool tracked, char where[128])
{
	struct json_object *root = json_tokener_parse(json), *list = get(root, "nftables");
	bool is_list = json_object_is_type(list, json_type_array), on = false;
	size_t i;

	for (i = 0; !on && is_list && i < json_object_array_length(list); i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		struct json_object *chain = get(item, "chain"), *rule = get(item, "rule");

		on = tracked ? !strcmp(get_text(chain, "type"), "nat") :
			       rule && is_nat_chain(list, rule);
		if (on)
			snprintf(where, 128, "nft %s %s %s", get_text(chain ?: rule, "family"),
				 get_text(chain ?: rule, "table"),
				 chain ? get_text(chain, "name") : get_text(rule, "chain"));
	}
	json_object_put(root);
	return on;
}
