/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The keys of config_keys.def as a table, and their values from text. */
#ifndef SYNWARD_CONFIG_VALUE_H
#define SYNWARD_CONFIG_VALUE_H

#include "config.h"

struct config_key {
	const char *name;
	int (*parse)(const struct config_key *key, const char *text, void *ret);
	size_t offset; /* in the section's struct */
	const char *type, *fallback, *allowed, *text;
};

/* Each ends with an empty entry. */
extern const struct config_key config_keys_synward[];
extern const struct config_key config_keys_interface[];
extern const struct config_key config_keys_service[];

struct config_section {
	const char *name, *argument; /* [interface NAME] */
	const struct config_key *keys;
	const char *text;
};

extern const struct config_section config_sections[];

/* -EINVAL: text is not what key allows. */
int config_value(const struct config_key *key, const char *text, void *section);

/* All keys of the section to their defaults. */
void config_defaults(const struct config_key *keys, void *section);

#endif
