// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nat.h"
#include "spawn.h"
#include "sysctl.h"

/* A rule of iptables-save, taken apart. */
struct parts {
	const char *chain, *target, *interface, *protocol, *ports;
	bool not_interface;
};

static void take_apart(char *line, struct parts *ret)
{
	char *save, *word, *last = "";
	struct parts p = {};

	for (word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (!strcmp(last, "-A"))
			p.chain = word;
		else if (!strcmp(last, "-j") || !strcmp(last, "-g"))
			p.target = word;
		else if (!strcmp(last, "-i"))
			p.interface = word;
		else if (!strcmp(last, "-p"))
			p.protocol = word;
		else if (!strcmp(last, "--dport") || !strcmp(last, "--dports"))
			p.ports = word;
		else if (!strcmp(word, "-i") && !strcmp(last, "!"))
			p.not_interface = true;
		last = word;
	}
	*ret = p;
}

static bool applies(const struct parts *p, const char *ifname)
{
	if (!p->chain || !p->target)
		return false;
	if (strcmp(p->target, "DNAT") && strcmp(p->target, "REDIRECT"))
		return false;
	if (!strcmp(p->chain, "OUTPUT") || !strcmp(p->chain, "POSTROUTING"))
		return false;
	if (p->protocol && strcmp(p->protocol, "tcp") && strcmp(p->protocol, "6"))
		return false;
	return !p->interface || !strcmp(p->interface, ifname) != p->not_interface;
}

/* 80,443,8000:8010 */
static void tell_ports(const char *list, struct nat_rule *rule, nat_found found, void *arg)
{
	while (*list) {
		char *end;

		rule->first = rule->last = strtoul(list, &end, 10);
		if (*end == ':')
			rule->last = strtoul(end + 1, &end, 10);
		if (rule->first && rule->last >= rule->first && rule->last < 65536)
			found(arg, rule);
		if (*end != ',')
			break;
		list = end + 1;
	}
}

void nat_each_iptables(const char *text, const char *tool, const char *ifname, nat_found found,
		       void *arg)
{
	char *copy = strdup(text), *save, *line;
	struct nat_rule rule = {};
	struct parts p;

	if (!copy)
		return;
	for (line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		take_apart(line, &p);
		if (!applies(&p, ifname))
			continue;
		snprintf(rule.where, sizeof(rule.where), "%s nat %s", tool, p.chain);
		rule.first = rule.last = 0;
		if (p.ports)
			tell_ports(p.ports, &rule, found, arg);
		else
			found(arg, &rule);
	}
	free(copy);
}

/* Asking a legacy tool for a table that is not there would create it. */
static bool has_legacy_nat(const char *path)
{
	FILE *f = fopen(path, "re");
	char name[32];
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(name, sizeof(name), f))
		found = !strcmp(name, "nat\n");
	fclose(f);
	return found;
}

static int ask_iptables(const char *tool, const char *name, const char *ifname, nat_found found,
			void *arg)
{
	const char *const argv[] = {tool, "-t", "nat", NULL};
	char *text;
	int err = spawn_read(argv, &text);

	if (err)
		return err;
	nat_each_iptables(text, name, ifname, found, arg);
	free(text);
	return 0;
}

/* These tables are asked for by a raw socket, which a hardened daemon may not open. */
static void ask_legacy(const char *tables, const char *tool, const char *name, const char *ifname,
		       nat_found found, void *arg)
{
	struct nat_rule rule = {.unread = true};

	if (!has_legacy_nat(tables) || !ask_iptables(tool, name, ifname, found, arg))
		return;
	snprintf(rule.where, sizeof(rule.where), "%s", name);
	found(arg, &rule);
}

#define LEGACY_TABLES_V4 "/proc/net/ip_tables_names"
#define LEGACY_TABLES_V6 "/proc/net/ip6_tables_names"

static const char *const list_ruleset[] = {"nft", "-j", "list", "ruleset", NULL};

bool nat_is_on(char where[128])
{
	int tracked = 0;
	char *text;
	bool on;

	sysctl_read("net/netfilter/nf_conntrack_count", &tracked);
	if (has_legacy_nat(LEGACY_TABLES_V4) || has_legacy_nat(LEGACY_TABLES_V6)) {
		snprintf(where, 128, "iptables-legacy nat");
		return true;
	}
	if (spawn_read(list_ruleset, &text))
		return false;
	on = nat_is_on_nft(text, tracked > 0, where);
	free(text);
	return on;
}

void nat_each(const char *ifname, nat_found found, void *arg)
{
	char *text;

	if (!spawn_read(list_ruleset, &text)) {
		nat_each_nft(text, ifname, found, arg);
		free(text);
	}
	/* Rules that iptables made are opaque to nft: "xt" without arguments. */
	ask_iptables("iptables-nft-save", "iptables", ifname, found, arg);
	ask_iptables("ip6tables-nft-save", "ip6tables", ifname, found, arg);
	ask_legacy(LEGACY_TABLES_V4, "iptables-legacy-save", "iptables-legacy", ifname,
		   found, arg);
	ask_legacy(LEGACY_TABLES_V6, "ip6tables-legacy-save", "ip6tables-legacy",
		   ifname, found, arg);
}

struct taken {
	const struct ports *ports;
	struct nat_rule *rule;
	bool found;
};

static void note_taken(void *arg, const struct nat_rule *rule)
{
	struct taken *t = arg;

	if (t->found || rule->unread || !rule->first || !ports_have_any(t->ports, rule->first, rule->last))
		return;
	*t->rule = *rule;
	t->found = true;
}

bool nat_takes(const char *ifname, const struct ports *ports, struct nat_rule *ret)
{
	struct taken t = {ports, ret, false};

	nat_each(ifname, note_taken, &t);
	return t.found;
}
