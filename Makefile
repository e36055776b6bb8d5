# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Targets: all, check, demo, install, deb, clean, deps. V=1 shows the commands.
# What a folder builds stands in its own build.mk.

VERSION := 0.1.0
B       := build
PREFIX  ?= /usr/local
DESTDIR ?=

# The newest clang found, 14 at least.
CLANG   ?= $(firstword $(foreach v,-22 -21 -20 -19 -18 -17 -16 -15 -14,$(shell command -v clang$(v))) clang)
BPFTOOL ?= $(firstword $(shell command -v bpftool /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PKGS    := libbpf libxdp json-c libmnl inih libcap-ng libsystemd nettle libmicrohttpd ncursesw
ARCH    := $(shell uname -m)

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n'
endif

CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Wshadow -Wstrict-prototypes \
	-Iheaders -I$(B) -DSW_VERSION='"$(VERSION)"' $(CFLAGS)
BPF_CFLAGS = -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Wno-unused-parameter \
	-I/usr/include/$(ARCH)-linux-gnu

.PHONY: all check demo bench install clean deps
.DELETE_ON_ERROR:
.SECONDARY:
all:

HEADERS := $(wildcard headers/*.h headers/*.def)
BPF_LIB := $(wildcard bpf/lib/*.h)

$(B)/%.bpf.o: %.bpf.c $(HEADERS) $(BPF_LIB)
	$(say) CLANG $@
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -c $< -o $@

$(B)/%.skel.h: $(B)/%.bpf.o
	$(say) SKEL $@
	$(Q)$(BPFTOOL) gen skeleton $< name $(notdir $*)_bpf > $@

include $(sort $(wildcard */build.mk */*/build.mk))

all: $(B)/synward

# In two steps: what is built with is found anew once it is installed.
check:
	$(Q)packaging/deps check
	$(Q)$(MAKE) --no-print-directory check-built

# Real time, minutes of it: edges of attacks and changes of services over and over.
.PHONY: check-modes
check-modes: all $(B)/flood $(B)/veth-peer
	$(Q)cd tests/net && SYNWARD_BUILD=$(abspath $(B)) SYNWARD_LONG=1 SYNWARD_EDGES=20 SYNWARD_RELOADS=200 \
		/usr/bin/python3 -m pytest -p no:cacheprovider -v test_modes.py test_lists.py test_services.py test_daemon.py::test_clock_under_the_units_filter

# The years of an operator in five minutes: see tests/net/test_endurance.py.
.PHONY: check-endurance
check-endurance: all $(B)/veth-peer
	$(Q)cd tests/net && SYNWARD_BUILD=$(abspath $(B)) SYNWARD_ENDURANCE=full \
		/usr/bin/python3 -m pytest -p no:cacheprovider -v -s test_endurance.py

.PHONY: check-built
check-built: all $(filter $(B)/%,$(CHECKS)) $(CHECK_TOOLS) $(B)/flood $(B)/veth-peer
	$(Q)B="$(B)" CHECKS="$(CHECKS)" tests/run

clean:
	rm -rf $(B)
