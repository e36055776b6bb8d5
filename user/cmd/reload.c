// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "cli.h"
#include "control.h"

int cmd_reload(int argc, char **argv, struct cli *cli)
{
	static const struct argp argp = {
		.doc = "Has the 'synward run' of this network namespace read its configuration "
		       "again. "
		       "Refused, what runs goes on as it was, and the reason is said.",
	};
	struct json_object *facts;
	struct why why = {};
	int err;

	cli_parse(&argp, CLI_NO_INTERFACE, argc, argv, cli, NULL);
	err = control_ask("reload", &why);
	if (err) {
		say_error(cli, NULL, "%s", why.text);
		return err;
	}
	facts = json_object_new_object();
	json_object_object_add(facts, "result", json_object_new_string("reloaded"));
	json_object_object_add(facts, "status", json_object_new_string(why.text));
	say_done(cli, facts, "synward: reloaded: %s", why.text);
	return 0;
}
