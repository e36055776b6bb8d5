// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "unit.h"
#include "service.h"

Test(service, holds_its_prefix_and_ports)
{
	struct sw_service s = {.addr = {[10] = 0xff, 0xff, 192, 0, 2, 0}, .prefix_length = 96 + 24, .port_first = 80, .port_last = 81};
	struct sw_addr in = sw_addr_of(0, 0x090200c0, 0), out = sw_addr_of(0, 0x090300c0, 0);

	cr_assert(sw_service_holds(&s, in, 80));
	cr_assert_not(sw_service_holds(&s, in, 82));
	cr_assert_not(sw_service_holds(&s, out, 80));
	s.prefix_length = 0;
	cr_assert(sw_service_holds(&s, out, 81));
}

Test(rtt, bucket_is_the_logarithm)
{
	cr_assert_eq(sw_rtt_bucket(0), 0);
	cr_assert_eq(sw_rtt_bucket(1), 0);
	cr_assert_eq(sw_rtt_bucket(2), 1);
	cr_assert_eq(sw_rtt_bucket(1023), 9);
	cr_assert_eq(sw_rtt_bucket(~0U), SW_RTT_BUCKETS - 1);
}

Test(service, holds_prefixes_of_ipv6)
{
	struct sw_service s = {.addr = {0x20, 1, 0xd, 0xb8, [9] = 0x40}, .prefix_length = 74, .port_first = 80, .port_last = 80};
	__u64 hi = 0xb80d0120ULL;

	cr_assert(sw_service_holds(&s, sw_addr_of(hi, 0x7f00, 1), 80));
	cr_assert_not(sw_service_holds(&s, sw_addr_of(hi, 0x8000, 1), 80));
	cr_assert_not(sw_service_holds(&s, sw_addr_of(hi + 1, 0x4000, 1), 80), "another network, the same host");
	cr_assert_not(sw_service_holds(&s, sw_addr_of(hi, 0x4000, 1), 79));
	s.prefix_length = 30;
	cr_assert(sw_service_holds(&s, sw_addr_of(hi | 0x01000000, 0, 1), 80));
	cr_assert_not(sw_service_holds(&s, sw_addr_of(hi | 0x04000000, 0, 1), 80));
}

Test(service, is_asked_only_where_it_has_something_to_say)
{
	struct sw_service s = {.mode = SW_MODE_ALWAYS};

	cr_assert_eq(sw_service_asks(&s, 0), 0);
	cr_assert_eq(sw_service_asks(&s, 1), SW_LS_ASK);
	s.synack_limit = 1;
	cr_assert_eq(sw_service_asks(&s, 0), SW_LS_ASK);
	s.synack_limit = 0;
	s.handshake_limit = 1;
	cr_assert_eq(sw_service_asks(&s, 0), SW_LS_ASK);
	s.mode = SW_MODE_AUTO;
	cr_assert_eq(sw_service_asks(&s, 0), SW_LS_ASK);
	s.handshake_limit = 0;
	cr_assert_eq(sw_service_asks(&s, 0), SW_LS_ASK | SW_LS_AUTO);
	s.mode = SW_MODE_MONITOR;
	cr_assert_eq(sw_service_asks(&s, 0), SW_LS_ASK);
	s.mode = SW_MODE_OFF;
	cr_assert_eq(sw_service_asks(&s, 0), SW_LS_ASK);
}
