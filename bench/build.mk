# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The flood generator, and what a veth needs at its far end.

BENCH_CFLAGS = $(shell pkg-config --cflags libbpf libmnl)
BENCH_LIBS   = $(shell pkg-config --libs libbpf libmnl)

FLOOD_SRC := $(addprefix bench/,flood.c settings.c frame.c link.c run.c)

$(B)/flood: $(FLOOD_SRC) $(wildcard bench/*.h) $(B)/bench/flood.skel.h
	$(say) CC $@
	$(Q)$(CC) $(ALL_CFLAGS) $(BENCH_CFLAGS) $(FLOOD_SRC) -o $@ $(LDFLAGS) $(BENCH_LIBS)

$(B)/veth-peer: bench/veth-peer.c $(B)/bench/veth_peer.skel.h
	$(say) CC $@
	$(Q)$(CC) $(ALL_CFLAGS) $(BENCH_CFLAGS) $< -o $@ $(LDFLAGS) $(BENCH_LIBS)

-include $(wildcard $(B)/bench/*.d)
