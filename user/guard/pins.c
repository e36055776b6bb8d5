// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>
#include <bpf/bpf.h>

#include "pins.h"

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

int pins_mount(struct why *why)
{
	if (is_bpffs(GUARD_BPFFS))
		return 0;
	if (mount("bpf", GUARD_BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755"))
		return why_is(why, -errno,
			      "no bpffs on " GUARD_BPFFS
			      " and mounting it failed: %s; mount -t bpf bpf " GUARD_BPFFS,
			      strerror(errno));
	return 0;
}

static int lock_how(int how, struct why *why)
{
	int fd = open(GUARD_BPFFS, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return why_is(why, -errno, "cannot open " GUARD_BPFFS ": %s", strerror(errno));
	while (flock(fd, how)) {
		err = -errno;
		if (err == -EINTR)
			continue;
		close(fd);
		return why_is(why, err, "cannot lock " GUARD_BPFFS ": %s", strerror(-err));
	}
	return fd;
}

int pins_lock(struct why *why)
{
	return lock_how(LOCK_EX, why);
}

int pins_trylock(struct why *why)
{
	return lock_how(LOCK_EX | LOCK_NB, why);
}

/* Readable for stats without privileges, whatever the umask. */
static int make_directory(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	return chmod(path, 0755) ? -errno : 0;
}

int pins_make_directory(const struct guard *g)
{
	char path[GUARD_PATH];
	int err;

	err = make_directory(GUARD_ROOT);
	if (err)
		return err;
	guard_path(g, NULL, path);
	return make_directory(path);
}

int pins_put(const struct guard *g, const char *name, int fd, mode_t mode)
{
	char path[GUARD_PATH], next[GUARD_PATH + 4];
	int err;

	guard_path(g, name, path);
	snprintf(next, sizeof(next), "%s_new", path);
	unlink(next); /* left by a process that was killed here; bpffs takes no dot in a name */
	if (bpf_obj_pin(fd, next))
		return -errno;
	if (chmod(next, mode) || rename(next, path)) {
		err = -errno;
		unlink(next);
		return err;
	}
	return 0;
}

static int open_pin(const struct guard *g, const char *name, __u32 flags)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = flags);
	char path[GUARD_PATH];
	int fd;

	guard_path(g, name, path);
	fd = bpf_obj_get_opts(path, &opts);
	return fd < 0 ? -errno : fd;
}

int pins_open(const struct guard *g, const char *name)
{
	return open_pin(g, name, 0);
}

int pins_open_readonly(const struct guard *g, const char *name)
{
	return open_pin(g, name, BPF_F_RDONLY);
}

int pins_drop(const struct guard *g, const char *name)
{
	char path[GUARD_PATH];

	guard_path(g, name, path);
	return unlink(path) && rmdir(path) ? -errno : 0;
}

int pins_drop_all(const struct guard *g)
{
	char path[GUARD_PATH];
	struct dirent *entry;
	int err = 0, at;
	DIR *dir;

	guard_path(g, NULL, path);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	at = dirfd(dir);
	while ((entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (unlinkat(at, entry->d_name, 0) && unlinkat(at, entry->d_name, AT_REMOVEDIR))
			err = -errno;
	}
	closedir(dir);
	if (rmdir(path) && !err)
		err = -errno;
	rmdir(GUARD_ROOT); /* others may be in it */
	return err;
}
