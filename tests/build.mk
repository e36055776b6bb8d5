# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What make check runs beside the programs that other folders add to CHECKS.

CHECKS += tests/compilers tests/generated_docs
