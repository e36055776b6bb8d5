// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ini.h>

#include "config_value.h"
#include "path.h"
#include "services.h"

/*
 * libinih tells neither the line a key stands on nor of sections without keys. So each
 * line goes to it through take_line(), which counts them, says what it would not, and puts
 * a key of ours behind each section's name: one that no file may hold.
 */
#define SECTION_KEY "\001"

struct reading {
	FILE *file;
	struct config *config;
	struct config_fault *fault;
	bool begins; /* the last line named a section */
	bool failed;
	int line;
	const struct config_key *keys; /* of the section */
	void *section;
	__u64 given; /* bit i: keys[i] was given in this section */
	bool synward_given;
};

static int at_fault(struct reading *r, const char *key, const char *allowed, const char *text)
{
	*r->fault = (struct config_fault){.line = r->line};
	snprintf(r->fault->key, sizeof(r->fault->key), "%s", key);
	snprintf(r->fault->allowed, sizeof(r->fault->allowed), "%s", allowed);
	snprintf(r->fault->text, sizeof(r->fault->text), "%s", text);
	r->failed = true;
	return 0; /* libinih's word for an error */
}

static bool has_control(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' && !strchr("\t\r\n", *text))
			return true;
	}
	return false;
}

/* = or : before a comment begins */
static bool has_separator(const char *text)
{
	const char *at = text + strcspn(text, "=:"), *comment = text;

	while ((comment = strchr(comment, ';')) && comment > text && !strchr(" \t", comment[-1]))
		comment++;
	return *at && (!comment || at < comment);
}

/* What is wrong with the line at sight, or NULL. */
static const char *look_at_line(const char *line, bool ends)
{
	const char *text = line + strspn(line, " \t\r\n");

	if (!*line || (line[strlen(line) - 1] != '\n' && !ends))
		return "the line is longer than 198 characters, or holds a NUL byte";
	if (has_control(line))
		return "the line holds a control character";
	if (!*text || *text == '#' || *text == ';')
		return NULL;
	if (text != line)
		return "the line begins with a space";
	if (*text == '[')
		return strchr(text, ']') ? NULL : "a ] is missing";
	return has_separator(text) ? NULL : "neither [SECTION] nor KEY = VALUE";
}

/* Like fgets(). NULL ends the reading, be it for a fault. */
static char *take_line(char *to, int size, void *arg)
{
	struct reading *r = arg;
	const char *wrong;

	if (r->failed)
		return NULL;
	if (r->begins) {
		r->begins = false;
		snprintf(to, size, SECTION_KEY "=\n");
		return to;
	}
	if (!fgets(to, size, r->file))
		return NULL;
	r->line++;
	wrong = look_at_line(to, feof(r->file));
	if (wrong) {
		at_fault(r, "", "", wrong);
		return NULL;
	}
	r->begins = *to == '[';
	return to;
}

static bool good_name(const char *name, size_t size)
{
	static const char *const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789_.-";
	size_t length = strlen(name);

	return length && length < size && strspn(name, letters) == length;
}

static int begin_synward(struct reading *r)
{
	if (r->synward_given)
		return at_fault(r, "[synward]", "", "there is one already");
	r->synward_given = true;
	r->section = &r->config->synward;
	r->keys = config_keys_synward;
	return 1;
}

static int begin_interface(struct reading *r, const char *name)
{
	struct config *c = r->config;
	struct config_interface *i = &c->interface[c->interfaces];

	if (strlen(name) >= IF_NAMESIZE || !*name || strpbrk(name, "/: \t") || !strcmp(name, "."))
		return at_fault(r, "[interface NAME]", "a name of 1 to 15 characters",
				"that is no interface's name");
	if (config_interface(c, name))
		return at_fault(r, name, "", "this interface has a section already");
	if (c->interfaces == CONFIG_INTERFACES)
		return at_fault(r, name, "64 interfaces", "too many interfaces");
	c->interfaces++;
	config_defaults(config_keys_interface, i);
	strcpy(i->name, name);
	i->line = r->line;
	r->section = i;
	r->keys = config_keys_interface;
	return 1;
}

static int find_service(const struct config *c, const char *name)
{
	int i;

	for (i = 0; i < c->services; i++) {
		if (!strcmp(c->service[i].name, name))
			return i;
	}
	return -ENOENT;
}

static int begin_service(struct reading *r, const char *name)
{
	struct config *c = r->config;
	struct config_service *s = &c->service[c->services];

	if (!good_name(name, sizeof(s->name)) || !strcmp(name, "all"))
		return at_fault(r, "[service NAME]",
				"letters, digits, _ . and -, 27 at most, but not \"all\"",
				"that is no service's name");
	if (find_service(c, name) >= 0)
		return at_fault(r, name, "", "this service has a section already");
	if (c->services == SW_SERVICES)
		return at_fault(r, name, "64 services", "too many services");
	c->services++;
	config_defaults(config_keys_service, s);
	strcpy(s->name, name);
	s->line = r->line;
	r->section = s;
	r->keys = config_keys_service;
	return 1;
}

static int begin_section(struct reading *r, const char *section)
{
	const char *name = strchr(section, ' ');

	r->given = 0;
	name = name ? name + strspn(name, " ") : "";
	if (!strcmp(section, "synward"))
		return begin_synward(r);
	if (!strncmp(section, "interface ", 10))
		return begin_interface(r, name);
	if (!strncmp(section, "service ", 8))
		return begin_service(r, name);
	return at_fault(r, section, "[synward], [interface NAME] or [service NAME]",
			"there is no such section");
}

/* The names of all keys, as far as there is room. */
static void list_keys(const struct config_key *keys, char *ret, size_t size)
{
	const char *comma = "";
	size_t length = 0;

	for (*ret = '\0'; keys->name && length < size; keys++, comma = ", ")
		length += snprintf(ret + length, size - length, "%s%s", comma, keys->name);
}

static int take_key(struct reading *r, const char *name, const char *value)
{
	char allowed[sizeof(r->fault->allowed)], text[128];
	const struct config_key *key;

	for (key = r->keys; key->name && strcmp(key->name, name); key++)
		;
	if (!key->name) {
		list_keys(r->keys, allowed, sizeof(allowed));
		return at_fault(r, name, allowed, "there is no such key in this section");
	}
	if (r->given >> (key - r->keys) & 1)
		return at_fault(r, name, "", "this key was given above already");
	r->given |= 1ULL << (key - r->keys);
	if (!config_value(key, value, r->section))
		return 1;
	snprintf(text, sizeof(text), "'%s' is not allowed", value);
	return at_fault(r, name, key->allowed, text);
}

static int take_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *r = arg;

	if (r->failed)
		return 0;
	if (!strcmp(name, SECTION_KEY))
		return begin_section(r, section);
	if (!r->section)
		return at_fault(r, name, "", "this key stands before any [section]");
	return take_key(r, name, value);
}

/* What is written there rules packets: nobody but root may have written it, if root asks. */
static int check_owner(const struct stat *st, char *ret_text, size_t size)
{
	if (geteuid() || (!st->st_uid && !(st->st_mode & 022)))
		return 0;
	snprintf(ret_text, size, "%s; chown root: and chmod go-w it first",
		 st->st_uid ? "is not owned by root" : "is writable by others than root");
	return -EPERM;
}

static int check_file(int fd, struct config_fault *fault)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		snprintf(fault->text, sizeof(fault->text), "is no regular file");
		return -EINVAL;
	}
	if (st.st_size > CONFIG_BYTES_MAX) {
		snprintf(fault->text, sizeof(fault->text), "is larger than 1 MiB");
		return -EFBIG;
	}
	return check_owner(&st, fault->text, sizeof(fault->text));
}

int config_check_owner(const char *path, struct why *why)
{
	struct stat st;
	char text[128];

	if (stat(path, &st))
		return why_is(why, -errno, "%s: %s", path, strerror(errno));
	return check_owner(&st, text, sizeof(text)) ? why_is(why, -EPERM, "%s: %s", path, text) : 0;
}

static int open_file(const char *path, FILE **ret, struct config_fault *fault)
{
	/* Not to wait for whoever would write into a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;

	if (fd < 0)
		return -errno;
	err = check_file(fd, fault);
	if (!err) {
		*ret = fdopen(fd, "r");
		err = *ret ? 0 : -errno;
	}
	if (err)
		close(fd);
	return err;
}

static int parse(struct reading *r)
{
	int line = ini_parse_stream(take_line, r, take_pair, r);

	if (r->failed)
		return -EINVAL;
	if (line < 0)
		return -ENOMEM;
	if (ferror(r->file))
		return -EIO;
	return 0;
}

static int resolve_services(struct reading *r, struct config_interface *i)
{
	struct config *c = r->config;
	config_names list;
	char *save, *name;
	int found;

	if (!strcmp(i->services, "all")) {
		i->service_mask = c->services == 64 ? ~0ULL : (1ULL << c->services) - 1;
		return 0;
	}
	memcpy(list, i->services, sizeof(list));
	for (name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		found = find_service(c, name);
		if (found < 0) {
			r->line = i->line;
			at_fault(r, "services", "names of [service NAME] sections in this file",
				 "names a service that is not there");
			return -EINVAL;
		}
		i->service_mask |= 1ULL << found;
	}
	return 0;
}

static int check_thresholds(struct reading *r, const struct config_service *s)
{
	r->line = s->line;
	if (s->syn_end > s->syn_start && s->syn_start) {
		at_fault(r, "syn-end", "0 to syn-start", "it is above syn-start");
		return -EINVAL;
	}
	if (s->half_open_end > s->half_open_start && s->half_open_start) {
		at_fault(r, "half-open-end", "0 to half-open-start", "it is above half-open-start");
		return -EINVAL;
	}
	if (s->mode == SW_MODE_AUTO && !s->syn_start && !s->half_open_start) {
		at_fault(r, "mode", "auto with syn-start or half-open-start above 0",
			 "auto could never arm");
		return -EINVAL;
	}
	return 0;
}

static int check_interface(struct reading *r, const struct config_interface *i)
{
	r->line = i->line;
	if (i->path == SW_PATH_PROXY || i->path == PATH_AUTO || (!i->to.count && !i->flows && !i->forward[0]))
		return 0;
	at_fault(r, i->to.count ? "to" : i->flows ? "flows" : "forward", "with path = proxy or auto", "it is for the proxy path");
	return -EINVAL;
}

/* Of one service on an interface whose path is named and may not be what the service needs. */
static int check_path(struct reading *r, const struct config_interface *i,
		      const struct config_service *s)
{
	bool compat = i->path == SW_PATH_COMPAT;
	char text[128];

	if (s->path == SW_SERVICE_AUTO || i->path == PATH_AUTO || i->path == SW_PATH_PROXY ||
	    (s->path == SW_SERVICE_HOST && !compat))
		return 0;
	snprintf(text, sizeof(text), "'%s' cannot be had on the %s path, which [interface %s] asks for",
		 services_path_name(s->path), path_name(i->path), i->name);
	r->line = s->line;
	at_fault(r, "path", compat ? "auto" : "auto|host", text);
	return -EINVAL;
}

static int check_paths(struct reading *r, const struct config_interface *i)
{
	const struct config *c = r->config;
	int s, err = 0;

	for (s = 0; !err && s < c->services; s++) {
		if (i->service_mask >> s & 1)
			err = check_path(r, i, &c->service[s]);
	}
	return err;
}

/* What can be said only of the whole. */
static int check_whole(struct reading *r)
{
	struct sw_service services[SW_SERVICES];
	struct config *c = r->config;
	int i, err = 0;

	r->line = 0;
	if (!c->interfaces) {
		at_fault(r, "", "[interface NAME]", "no interface is named");
		return -EINVAL;
	}
	for (i = 0; !err && i < c->services; i++)
		err = check_thresholds(r, &c->service[i]);
	for (i = 0; !err && i < c->interfaces; i++) {
		err = check_interface(r, &c->interface[i]);
		if (!err)
			err = resolve_services(r, &c->interface[i]);
		if (!err)
			err = check_paths(r, &c->interface[i]);
		if (err || config_services(c, &c->interface[i], services) >= 0)
			continue;
		r->line = c->interface[i].line;
		at_fault(r, "services", "64 in all",
			 "too many: each address and each port range of a service counts");
		err = -EINVAL;
	}
	return err;
}

int config_load(const char *path, struct config **ret, struct config_fault *fault)
{
	struct reading r = {.fault = fault};
	int err;

	*fault = (struct config_fault){};
	err = open_file(path, &r.file, fault);
	if (err)
		return err;
	r.config = calloc(1, sizeof(*r.config));
	if (!r.config) {
		fclose(r.file);
		return -ENOMEM;
	}
	config_defaults(config_keys_synward, &r.config->synward);
	err = parse(&r);
	fclose(r.file);
	if (!err)
		err = check_whole(&r);
	if (err)
		config_free(r.config);
	else
		*ret = r.config;
	return err;
}

void config_free(struct config *config)
{
	free(config);
}

int config_fault_say(const char *path, const struct config_fault *fault, int err, struct why *why)
{
	char line[16] = "";

	if (fault->line)
		snprintf(line, sizeof(line), ":%d", fault->line);
	return why_is(why, err, "%s%s: %s%s%s%s%s", path, line, fault->key,
		      fault->key[0] ? ": " : "", fault->text[0] ? fault->text : strerror(-err),
		      fault->allowed[0] ? "; allowed: " : "", fault->allowed);
}

const struct config_interface *config_interface(const struct config *config, const char *name)
{
	int i;

	for (i = 0; i < config->interfaces; i++) {
		if (!strcmp(config->interface[i].name, name))
			return &config->interface[i];
	}
	return NULL;
}
