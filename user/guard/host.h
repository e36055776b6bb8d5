/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The programs of a path, loaded. Two objects over the same maps: base holds the maps and
 * all but the XDP program, which has one of its own, because libxdp wants to load that
 * itself (as a part of its dispatcher, or as it is).
 */
#ifndef SYNWARD_HOST_H
#define SYNWARD_HOST_H

#include "guard.h"
#include "object.h"

struct host {
	struct bpf_object *base;
	enum sw_path path;
	bool reused; /* the maps are those of a running guard ... */
	bool changed; /* ... on another path: but for those that are each path's own */
};

/* Descriptors of the maps a running guard uses, by name, to be taken over. */
#define HOST_MAPS_MAX 48

struct host_maps {
	struct {
		char name[16];
		int fd;
	} map[HOST_MAPS_MAX];
	int count;
};

/* The maps of a program that runs; needs CAP_SYS_ADMIN, the kernel's condition for map ids. */
int host_maps_of(int prog_fd, struct host_maps *ret);
int host_maps_add(struct host_maps *maps, const char *name, int fd); /* takes fd */
int host_maps_fd(const struct host_maps *maps, const char *name);    /* -ENOENT */
int host_maps_keep(const struct host *host, struct host_maps *ret); /* of base */
int host_maps_info(const struct host_maps *maps, struct sw_info *ret); /* -EPROTO: of another ABI */
void host_maps_close(struct host_maps *maps);

/*
 * Loads base. maps, if not NULL and of the same shape, are taken over; of a guard on another
 * path those that both paths have and that are nobody's own (host.c). flows: entries of
 * that table, where the path has one; 0: as many as that of maps, or the default.
 */
int host_load(struct host *host, enum sw_path path, const struct host_maps *maps, __u32 flows,
	      struct why *why);

/* Sets of its table of flows, a power of two; 0: it has none. */
__u32 host_flow_sets(const struct host *host);

/* Opens an object for that XDP program alone, for that mode, over base's maps; not loaded yet. */
int host_open_xdp(const struct host *host, const char *name, enum sw_xdp_mode mode,
		  struct bpf_object **ret);

/* Looks at every socket of this namespace and starts the timer that keeps on doing so. */
int host_start(const struct host *host, struct why *why);

void host_close(struct host *host);

#endif
