// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netstat.h"

/* The next line of f that begins with "group:", what is behind that; NULL: there is none. */
static char *next_line(FILE *f, const char *group, char **line, size_t *size)
{
	size_t length = strlen(group);

	while (getline(line, size, f) > 0) {
		if (!strncmp(*line, group, length) && (*line)[length] == ':')
			return *line + length + 1;
	}
	return NULL;
}

/* Two lines a group: names, then values. */
int netstat_read(const char *file, const char *group, const char *name, __u64 *ret)
{
	char path[64], *names = NULL, *values = NULL, *n, *v, *key, *value;
	size_t size_n = 0, size_v = 0;
	int err = -ENOENT;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/thread-self/net/%s", file);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	n = next_line(f, group, &names, &size_n);
	v = n ? next_line(f, group, &values, &size_v) : NULL;
	while (err && v && (key = strsep(&n, " \n")) && (value = strsep(&v, " \n"))) {
		if (strcmp(key, name))
			continue;
		*ret = strtoull(value, NULL, 10);
		err = 0;
	}
	free(names);
	free(values);
	fclose(f);
	return err;
}
