/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The configuration file: read whole, checked whole, or refused with the line that is wrong. */
#ifndef SYNWARD_CONFIG_H
#define SYNWARD_CONFIG_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "abi.h"
#include "ports.h"
#include "prefix.h"
#include "targets.h"
#include "why.h"

#define CONFIG_DEFAULT_PATH "/etc/synward/synward.conf"
#define CONFIG_BYTES_MAX (1 << 20)
#define CONFIG_LINE_MAX 198 /* what libinih takes */
#define CONFIG_INTERFACES 64
#define CONFIG_PREFIXES 16
#define CONFIG_SERVICE_NAME 28 /* with \0: sw_service.name has room for "#63" behind it */

/* A value's type in config_keys.def is one of these without its config_. */
typedef unsigned int config_word; /* index into the key's words */
typedef __u32 config_number;
typedef __u64 config_duration;              /* ms */
typedef char config_path[CONFIG_LINE_MAX];  /* "": none */
typedef char config_names[CONFIG_LINE_MAX]; /* "all", or names with , between */
typedef struct {
	struct ports ports;
	bool any; /* auto: whatever listens */
} config_ports;
typedef struct {
	struct prefix item[CONFIG_PREFIXES];
	int count;
} config_prefixes;
typedef struct targets config_targets; /* without flows */
typedef char config_ifname[IF_NAMESIZE]; /* "": none */
typedef __u32 config_flows;            /* 0: default */
typedef union {
	struct sockaddr any; /* sa_family AF_UNSPEC: off */
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
} config_endpoint;

struct config_synward {
#define CONFIG_SYNWARD(field, key, type, fallback, allowed, text) config_##type field;
#include "config_keys.def"
};

struct config_interface {
	char name[IF_NAMESIZE];
	int line;           /* of its section */
	__u64 service_mask; /* bit i: config.service[i] */
#define CONFIG_INTERFACE(field, key, type, fallback, allowed, text) config_##type field;
#include "config_keys.def"
};

struct config_service {
	char name[CONFIG_SERVICE_NAME];
	int line;
#define CONFIG_SERVICE(field, key, type, fallback, allowed, text) config_##type field;
#include "config_keys.def"
};

enum config_log { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };
enum config_on_stop { CONFIG_ON_STOP_KEEP, CONFIG_ON_STOP_DETACH };
enum config_syncookies { CONFIG_SYNCOOKIES_SET, CONFIG_SYNCOOKIES_REFUSE };
enum config_attach { CONFIG_ATTACH_LIBXDP, CONFIG_ATTACH_LINK };

struct config {
	struct config_synward synward;
	struct config_interface interface[CONFIG_INTERFACES];
	int interfaces;
	struct config_service service[SW_SERVICES];
	int services;
};

/* What is wrong with a file; "" and 0 for what does not apply. */
struct config_fault {
	int line;
	char key[64];      /* or the section */
	char text[256];    /* what is wrong */
	char allowed[160]; /* what would be right */
};

/* *ret is to be freed by config_free(). On failure a negative errno, and the fault. */
int config_load(const char *path, struct config **ret, struct config_fault *fault);
void config_free(struct config *config);

/* -EPERM and why if root reads what others than root may have written. */
int config_check_owner(const char *path, struct why *why);

/* PATH:LINE: KEY: TEXT; allowed: ALLOWED */
int config_fault_say(const char *path, const struct config_fault *fault, int err, struct why *why);

/*
 * The services of one interface as the map has them, in the order they count; a service with
 * several addresses or port ranges makes several, named NAME, NAME#2 ... Returns how many, or
 * -E2BIG. A file without services: one, called "all", that answers wherever something listens.
 * A path left open is proxy where the interface's is, or where it names servers.
 */
int config_services(const struct config *config, const struct config_interface *interface,
		    struct sw_service ret[SW_SERVICES]);

const struct config_interface *config_interface(const struct config *config, const char *name);

#endif
