// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spawn.h"

extern char **environ;

/* Where PATH may not lead: what is asked here are administrators' tools. */
static const char *const folders[] = {"/usr/sbin", "/sbin", "/usr/local/sbin"};

static int start(const char *const argv[], int output, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	char path[64];
	size_t i;
	int err;

	err = posix_spawn_file_actions_init(&actions);
	if (err)
		return -err;
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	err = posix_spawnp(ret_pid, argv[0], &actions, NULL, (char *const *)argv, environ);
	for (i = 0; err == ENOENT && i < sizeof(folders) / sizeof(*folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], argv[0]);
		err = posix_spawn(ret_pid, path, &actions, NULL, (char *const *)argv, environ);
	}
	posix_spawn_file_actions_destroy(&actions);
	return -err;
}

static int read_all(int fd, char **ret_text)
{
	char chunk[4096], *text = NULL;
	ssize_t got;
	size_t size;
	FILE *f;

	f = open_memstream(&text, &size);
	if (!f)
		return -errno;
	while ((got = read(fd, chunk, sizeof(chunk))) > 0 || (got < 0 && errno == EINTR)) {
		if (got > 0)
			fwrite(chunk, 1, got, f);
	}
	if (fclose(f)) {
		free(text);
		return -ENOMEM;
	}
	*ret_text = text;
	return 0;
}

int spawn_read(const char *const argv[], char **ret_text)
{
	int ends[2], status, err;
	char *text = NULL;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	err = start(argv, ends[1], &pid);
	close(ends[1]);
	if (!err) {
		err = read_all(ends[0], &text);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (!err && (!WIFEXITED(status) || WEXITSTATUS(status)))
			err = -EIO;
	}
	close(ends[0]);
	if (err)
		free(text);
	else
		*ret_text = text;
	return err;
}
