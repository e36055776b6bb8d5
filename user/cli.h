/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What main.c and the commands share: the table of commands, the options all of them know. */
#ifndef SYNWARD_CLI_H
#define SYNWARD_CLI_H

#include <argp.h>

#include "say.h"

#define EXIT_USAGE 2

struct command {
	const char *name;
	int (*run)(int argc, char **argv,
		   struct cli *cli); /* 0, or a negative errno already said */
	const char *arguments;
	const char *text;
};

/* -j and -v: a child of every command's parser, its input the struct cli. */
extern const struct argp cli_argp;

/* Parses a command's arguments; input is the command's own struct, handed to its parser. */
void cli_parse(const struct argp *argp, int argc, char **argv, void *input);

int cmd_attach(int argc, char **argv, struct cli *cli);
int cmd_detach(int argc, char **argv, struct cli *cli);
int cmd_run(int argc, char **argv, struct cli *cli);
int cmd_reload(int argc, char **argv, struct cli *cli);
int cmd_config(int argc, char **argv, struct cli *cli);
int cmd_doctor(int argc, char **argv, struct cli *cli);
int cmd_key(int argc, char **argv, struct cli *cli);
int cmd_status(int argc, char **argv, struct cli *cli);
int cmd_flows(int argc, char **argv, struct cli *cli);
int cmd_events(int argc, char **argv, struct cli *cli);
int cmd_stats(int argc, char **argv, struct cli *cli);
int cmd_trace(int argc, char **argv, struct cli *cli);
int cmd_top(int argc, char **argv, struct cli *cli);
int cmd_metrics(int argc, char **argv, struct cli *cli);

#endif
