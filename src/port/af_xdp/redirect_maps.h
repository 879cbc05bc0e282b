// What user space and redirect.bpf.c agree on: the shapes of the maps. C, because both languages read it.
#pragma once

#include <linux/types.h>

#define RINGPLANE_MAX_HOST_ADDRESSES 256
#define RINGPLANE_MAX_XDP_QUEUES 128

/* Key of `host_addresses`; an IPv4 address is the first four bytes, the rest zero. Network order. */
struct ringplane_host_address {
  __u8 bytes[16];
  __u32 family; /* 4 or 6 */
};

/* Key of `host_ports`. */
struct ringplane_host_port {
  __u16 port; /* host order */
  __u8 protocol;
  __u8 zero;
};

/* The only slot of `host_services`. */
struct ringplane_host_services {
  __u32 icmp; /* ICMP and ICMPv6 to a host address stays with the kernel */
  __u32 all;  /* everything to a host address does */
};

/* The only slot of `bypass`: what becomes of packets that would go to the sockets. */
#define RINGPLANE_BYPASS_NONE 0 /* to the sockets */
#define RINGPLANE_BYPASS_DROP 1 /* nobody drives the sockets: nothing passes */
#define RINGPLANE_BYPASS_PEER 2 /* nobody drives the sockets: straight to the interface in `peer` */
