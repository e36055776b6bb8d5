// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* synward config check FILE, synward config keys */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "config_value.h"
#include "policy.h"

struct config_args {
	struct cli *cli;
	const char *what, *path;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct config_args *a = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (!a->what)
			a->what = arg;
		else if (!a->path && !strcmp(a->what, "check"))
			a->path = arg;
		else
			argp_error(state, "too many arguments");
		return 0;
	case ARGP_KEY_END:
		if (!a->what || (strcmp(a->what, "check") && strcmp(a->what, "keys")))
			argp_error(state, "check or keys?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void put(struct json_object *obj, const char *key, const char *text)
{
	if (text[0])
		json_object_object_add(obj, key, json_object_new_string(text));
}

static void say_fault(struct config_args *a, const struct config_fault *fault, int err)
{
	struct json_object *obj;
	struct why why;

	config_fault_say(a->path, fault, err, &why);
	if (!a->cli->json) {
		say_error(a->cli, NULL, "%s", why.text);
		return;
	}
	obj = json_object_new_object();
	put(obj, "file", a->path);
	if (fault->line)
		json_object_object_add(obj, "line", json_object_new_int(fault->line));
	put(obj, "key", fault->key);
	put(obj, "allowed", fault->allowed);
	put(obj, "error", fault->text[0] ? fault->text : strerror(-err));
	say_done(a->cli, obj, "%s", why.text);
}

static int check(struct config_args *a)
{
	struct config_fault fault;
	struct json_object *obj;
	struct config *config;
	struct why why;
	int err;

	a->path = a->path ?: CONFIG_DEFAULT_PATH;
	err = config_load(a->path, &config, &fault);
	if (err) {
		say_fault(a, &fault, err);
		return err;
	}
	/* The lists become maps, which only root may make. */
	err = geteuid() ? 0 : policy_load(a->path, config, &why);
	if (err) {
		config_free(config);
		say_error(a->cli, NULL, "%s", why.text);
		return err;
	}
	obj = json_object_new_object();
	put(obj, "file", a->path);
	json_object_object_add(obj, "interfaces", json_object_new_int(config->interfaces));
	json_object_object_add(obj, "services", json_object_new_int(config->services));
	say_done(a->cli, obj, "synward: %s: good (%d interface%s, %d service%s)", a->path,
		 config->interfaces, config->interfaces == 1 ? "" : "s", config->services,
		 config->services == 1 ? "" : "s");
	config_free(config);
	return 0;
}

static struct json_object *describe(const struct config_section *section,
				    const struct config_key *key)
{
	struct json_object *obj = json_object_new_object();

	put(obj, "section", section->name);
	put(obj, "key", key->name);
	put(obj, "type", key->type);
	json_object_object_add(obj, "default", json_object_new_string(key->fallback));
	put(obj, "allowed", key->allowed);
	put(obj, "text", key->text);
	return obj;
}

static int list_keys(const struct config_args *a)
{
	struct json_object *all = json_object_new_array();
	const struct config_section *section;
	const struct config_key *key;

	for (section = config_sections; section->name; section++) {
		if (!a->cli->json)
			printf("[%s%s%s]  %s\n", section->name, section->argument ? " " : "",
			       section->argument ?: "", section->text);
		for (key = section->keys; key->name; key++) {
			json_object_array_add(all, describe(section, key));
			if (!a->cli->json)
				printf("  %-16s= %-8s %s (%s)\n", key->name, key->fallback,
				       key->text, key->allowed);
		}
	}
	if (a->cli->json)
		puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(all);
	return 0;
}

int cmd_config(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "check [FILE]\nkeys",
		.doc = "check: says what is wrong with a configuration file, by "
		       "default " CONFIG_DEFAULT_PATH ".\nkeys: every key with its default.",
	};
	struct config_args a = {.cli = cli};

	cli_parse(&argp, CLI_NO_INTERFACE, argc, argv, cli, &a);
	return strcmp(a.what, "keys") ? check(&a) : list_keys(&a);
}
