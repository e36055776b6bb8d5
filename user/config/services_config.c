// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Services as the configuration file has them, with the lists it names. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "services.h"

/* The section an entry comes from: NAME, NAME#2 ... are all of NAME. */
static int section_of(const struct config *config, const char *name)
{
	size_t length = strcspn(name, "#");
	int i;

	for (i = 0; i < config->services; i++) {
		const char *section = config->service[i].name;

		if (strlen(section) == length && !memcmp(section, name, length))
			return i;
	}
	return -ENOENT;
}

int services_from_config(const struct config *config, const struct config_interface *interface,
			 struct services *ret, struct why *why)
{
	int fd_of[SW_SERVICES], i, at, err = 0;
	struct services s;

	services_default(&s, SW_MODE_ALWAYS);
	s.count = config_services(config, interface, s.service);
	if (s.count < 0)
		return why_is(why, s.count, "more than %d services, counting each address and range of ports",
			      SW_SERVICES);
	memset(fd_of, -1, sizeof(fd_of));
	for (i = 0; !err && i < s.count; i++) {
		at = section_of(config, s.service[i].name);
		if (at < 0)
			continue;
		if (fd_of[at] < 0)
			err = lists_load(config->service[at].allow, config->service[at].deny,
					 &fd_of[at], why);
		s.list_fd[i] = fd_of[at];
	}
	if (!err)
		err = services_check(&s, why);
	if (err)
		services_close_lists(&s);
	else
		*ret = s;
	return err;
}

void services_close_lists(struct services *s)
{
	int i, j;

	for (i = 0; i < s->count; i++) {
		int fd = s->list_fd[i];

		if (fd >= 0)
			close(fd);
		for (j = i; fd >= 0 && j < s->count; j++) {
			if (s->list_fd[j] == fd)
				s->list_fd[j] = -1;
		}
	}
}
