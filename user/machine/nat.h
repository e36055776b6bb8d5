/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* TCP ports that the firewall sends elsewhere before a listener would see them. */
#ifndef SYNWARD_NAT_H
#define SYNWARD_NAT_H

#include <stdbool.h>

#include "ports.h"

struct nat_rule {
	unsigned int first, last; /* ports; first 0: the rule names none */
	bool unread;		  /* the tool could not be asked: there may be any */
	char where[128];          /* "nft ip nat PREROUTING" */
};

typedef void (*nat_found)(void *arg, const struct nat_rule *rule);

/* Asks nft and iptables, as far as they are installed, for rules that apply to ifname. */
void nat_each(const char *ifname, nat_found found, void *arg);

/* True and the first rule found, if one takes a port of ports. */
bool nat_takes(const char *ifname, const struct ports *ports, struct nat_rule *ret);

/*
 * True if NAT looks at connections to this machine, whether it changes them or not, and who
 * asked for that in where. The kernel then takes the listener away from what bpf_sk_assign_tcp_reqsk()
 * gave it, because the request socket names no port yet that NAT could find unchanged
 * (nf_nat_ipv4_local_in(), net/netfilter/nf_nat_proto.c), and resets the client.
 */
bool nat_is_on(char where[128]);
bool nat_is_on_nft(const char *json, bool tracked, char where[128]);

/* The same as nat_each() from text: of nft -j list ruleset, and of iptables-save. */
void nat_each_nft(const char *json, const char *ifname, nat_found found, void *arg);
void nat_each_iptables(const char *save, const char *tool, const char *ifname, nat_found found,
		       void *arg);

#endif
