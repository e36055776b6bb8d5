// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "routes.h"
#include "settings.h"
#include "sysctl.h"

static int read_config(int fd, struct sw_config *ret)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(fd, &zero, ret) ? -errno : 0;
}

static int write_over(int config_fd, int routes_fd, const struct ports *ports,
		      const struct sw_config *old, struct sw_config *config)
{
	__u32 zero = 0;
	int err, routes, rmem_max;

	err = sysctl_read("net/core/rmem_max", &rmem_max);
	/* Older kernels show it in the first namespace alone; tcp_rmem is the larger as a rule. */
	if (err == -ENOENT)
		rmem_max = 0;
	else if (err)
		return err;
	config->rmem_max = (__u32)rmem_max;
	routes = routes_fill(routes_fd);
	/* Too many: those that fit count, the rest looks like routes without metrics. */
	if (routes < 0 && routes != -E2BIG)
		return routes;
	config->routes = routes != 0;
	config->policy = old->policy; /* services_apply()'s */
	memcpy(config->port, ports->word, sizeof(config->port));
	config->generation = old->generation;
	if (!memcmp(config, old, sizeof(*config)))
		return 0;
	config->generation++;
	return bpf_map_update_elem(config_fd, &zero, config, BPF_ANY) ? -errno : 0;
}

/* A map of another version, or of nobody yet, reads as generation 0. */
int settings_write(int config_fd, int routes_fd, const struct ports *ports, __u64 epoch_offset_ns,
		   bool beside_nat)
{
	struct sw_config old, config = {.epoch_offset_ns = epoch_offset_ns,
					.beside_nat = beside_nat};
	int err = read_config(config_fd, &old);

	return err ? err : write_over(config_fd, routes_fd, ports, &old, &config);
}

int settings_update(int config_fd, int routes_fd, const struct ports *ports)
{
	struct sw_config old, config;
	int err = read_config(config_fd, &old);

	config = old;
	return err ? err : write_over(config_fd, routes_fd, ports, &old, &config);
}

int settings_ports(int config_fd, struct ports *ret)
{
	struct sw_config config;
	int err = read_config(config_fd, &config);

	if (!err)
		memcpy(ret->word, config.port, sizeof(ret->word));
	return err;
}

int settings_epoch_offset(int config_fd, __u64 *ret_ns)
{
	struct sw_config config;
	int err = read_config(config_fd, &config);

	if (!err)
		*ret_ns = config.epoch_offset_ns;
	return err;
}

int settings_set_epoch_offset(int config_fd, __u64 epoch_offset_ns)
{
	struct sw_config config;
	__u32 zero = 0;
	int err = read_config(config_fd, &config);

	if (err)
		return err;
	config.epoch_offset_ns = epoch_offset_ns;
	return bpf_map_update_elem(config_fd, &zero, &config, BPF_ANY) ? -errno : 0;
}
