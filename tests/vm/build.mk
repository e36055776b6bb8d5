# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Guests with other kernels and emulated NICs: make check-vm; make vm-docs writes what they said into docs/support.md.

CHECKS += tests/vm/run

.PHONY: check-vm check-vm-built vm-docs
check-vm:
	$(Q)packaging/deps check
	$(Q)$(MAKE) --no-print-directory check-vm-built

check-vm-built: $(B)/synward
	$(Q)B="$(B)" tests/vm/run

vm-docs:
	$(Q)B="$(B)" tests/vm/docs > docs/support.md.new && mv docs/support.md.new docs/support.md
