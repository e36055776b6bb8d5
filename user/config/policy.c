// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "policy.h"
#include "services.h"

static int check_lists(const struct config *config, struct why *why)
{
	const struct config_service *s = config->service;
	int i, err = 0;

	for (i = 0; !err && i < config->services; i++) {
		if (s[i].allow[0])
			err = config_check_owner(s[i].allow, why);
		if (!err && s[i].deny[0])
			err = config_check_owner(s[i].deny, why);
	}
	return err;
}

/* As if they were to be applied, lists and all. */
int policy_load(const char *path, const struct config *config, struct why *why)
{
	struct services services;
	struct why text = {};
	int i, err = check_lists(config, &text);

	for (i = 0; !err && i < config->interfaces; i++) {
		err = services_from_config(config, &config->interface[i], &services, &text);
		if (!err)
			services_close_lists(&services);
	}
	return err ? why_is(why, err, "%s: %s", path, text.text) : 0;
}
