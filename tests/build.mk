# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# make check: what each folder put into CHECKS, then the namespaces.

CHECKS += tests/compilers tests/counters_doc

check:
	$(Q)packaging/deps check
	$(Q)$(MAKE) --no-print-directory check-built

.PHONY: check-built
check-built: all $(CHECKS) $(CHECK_TOOLS) $(B)/counters.md
	$(Q)CHECKS="$(CHECKS)" B="$(B)" tests/run
