# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# make bench [QUICK=1]: everything side by side, into build/bench.json and build/bench.svg.
# make bench-docs: that run's figures into docs/performance.md and its chart beside it.

SUITE_FRAMES := $(addprefix bench/,settings.c frame.c)
METER_SRC := $(addprefix bench/suite/,meter.c tables.c)

$(B)/bench/suite/meter.bpf.o: bench/flood.bpf.c bench/flood.h

$(B)/bench/meter: $(METER_SRC) $(SUITE_FRAMES) $(wildcard bench/*.h bench/suite/*.h) $(B)/bench/suite/meter.skel.h
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(BENCH_CFLAGS) -Ibench $(METER_SRC) $(SUITE_FRAMES) -o $@ \
		$(LDFLAGS) $(BENCH_LIBS)

$(B)/bench/sockets: bench/suite/sockets.c
	$(say) CC $@
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $< -o $@ $(LDFLAGS)

BENCH_TOOLS := $(B)/synward $(B)/flood $(B)/bench/meter $(B)/bench/sockets

.PHONY: bench-built bench-docs
bench:
	$(Q)packaging/deps bench
	$(Q)$(MAKE) --no-print-directory bench-built

bench-built: $(BENCH_TOOLS)
	$(Q)B=$(B) QUICK=$(QUICK) /usr/bin/python3 bench/suite/run

bench-docs:
	$(Q)/usr/bin/python3 bench/suite/docs.py $(B)/bench.json

CHECKS      += bench/suite/gate
CHECK_TOOLS += $(BENCH_TOOLS)
