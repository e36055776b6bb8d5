// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

/* systemd tells what it connected stderr to: device:inode (systemd.exec(5)). */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       !fstat(STDERR_FILENO, &st) && st.st_dev == device && st.st_ino == inode;
}

void log_open(struct log *ret)
{
	*ret = (struct log){.journal = is_journal()};
}

static const char *level_name(int priority)
{
	static const char *const names[] = {
		[LOG_ERR] = "error",
		[LOG_WARNING] = "warning",
		[LOG_NOTICE] = "notice",
		[LOG_INFO] = "info",
	};

	return names[priority];
}

static void put_time(struct json_object *obj)
{
	struct timespec now;
	char day[32], text[48];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &tm));
	snprintf(text, sizeof(text), "%s.%03ldZ", day, now.tv_nsec / 1000000);
	json_object_object_add(obj, "time", json_object_new_string(text));
}

static void write_json(int priority, const char *ifname, struct json_object *facts,
		       const char *text)
{
	struct json_object *obj = json_object_new_object();

	put_time(obj);
	json_object_object_add(obj, "level", json_object_new_string(level_name(priority)));
	if (ifname)
		json_object_object_add(obj, "interface", json_object_new_string(ifname));
	if (facts) {
		json_object_object_foreach(facts, key, value)
			json_object_object_add(obj, key, json_object_get(value));
	}
	json_object_object_add(obj, "message", json_object_new_string(text));
	fprintf(stderr, "%s\n",
		json_object_to_json_string_ext(obj, JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(obj);
}

static void write_line(const struct log *log, int priority, const char *ifname, const char *text)
{
	const char *colon = ifname ? ": " : "", *level = priority == LOG_WARNING ? "warning: " : "";

	if (log->journal) /* which shows program and priority itself */
		fprintf(stderr, "<%d>%s%s%s\n", priority, ifname ?: "", colon, text);
	else
		fprintf(stderr, "synward: %s%s%s%s\n", ifname ?: "", colon, level, text);
}

static void write_message(const struct log *log, int priority, const char *ifname,
			  struct json_object *facts, const char *format, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof(text), format, args);
	if (log->json)
		write_json(priority, ifname, facts, text);
	else
		write_line(log, priority, ifname, text);
	json_object_put(facts);
}

void log_say(const struct log *log, int priority, const char *ifname, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_message(log, priority, ifname, NULL, format, args);
	va_end(args);
}

void log_event(const struct log *log, int priority, const char *ifname, struct json_object *facts,
	       const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_message(log, priority, ifname, facts, format, args);
	va_end(args);
}
