// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <stdio.h>

#include "sysctl.h"

static FILE *open_setting(const char *name, const char *how)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	return fopen(path, how);
}

int sysctl_read(const char *name, int *ret)
{
	FILE *f = open_setting(name, "re");
	int value, got;

	if (!f)
		return -errno;
	got = fscanf(f, "%d", &value);
	fclose(f);
	if (got != 1)
		return -EIO;
	*ret = value;
	return 0;
}

int sysctl_write(const char *name, int value)
{
	FILE *f = open_setting(name, "we");
	int err;

	if (!f)
		return -errno;
	err = fprintf(f, "%d\n", value) < 0 ? -EIO : 0;
	/* The kernel answers when the buffer is written out. */
	return fclose(f) ? -errno : err;
}
