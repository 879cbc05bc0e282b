// The XDP program: every packet goes to the AF_XDP socket of its receive queue, except what the configuration keeps for
// the kernel's own network. Kept are, for the host addresses in the map:
//   ARP whose target is one of them, and IPv6 neighbour discovery that asks for or answers to one of them
//   TCP and UDP to one of them with a destination port in the map, ICMP when switched on, everything when `all` is
// Fragments have no ports, so they are kept only by `all`. VLAN-tagged frames are never kept. A queue without a socket
// passes to the kernel. While no process drives the sockets, user space may have the rest dropped or sent straight to
// the other interface of the bridge. Every access is checked against data_end, or the kernel's verifier would refuse
// the program.
// clang-format off: bpf_helpers.h wants the kernel's types before it
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
// clang-format on

#include "redirect_maps.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_IPV6 0x86dd
#define PROTOCOL_ICMP 1
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define PROTOCOL_ICMP6 58
#define IPV4_FRAGMENT_BITS 0x3fff /* more fragments, or an offset (RFC 791 3.1) */
#define ICMP6_NEIGHBOUR_SOLICITATION 135
#define ICMP6_NEIGHBOUR_ADVERTISEMENT 136

struct ethernet_header {
  __u8 destination[6];
  __u8 source[6];
  __be16 type;
} __attribute__((packed));

struct arp_packet { /* RFC 826, Ethernet and IPv4 */
  __be16 hardware, protocol;
  __u8 hardware_length, protocol_length;
  __be16 operation;
  __u8 sender_mac[6], sender_address[4];
  __u8 target_mac[6], target_address[4];
} __attribute__((packed));

struct ipv4_header {
  __u8 version_length, tos;
  __be16 total_length, id, fragment;
  __u8 ttl, protocol;
  __be16 checksum;
  __u8 source[4], destination[4];
} __attribute__((packed));

struct ipv6_header {
  __be32 version_class_flow;
  __be16 payload_length;
  __u8 next_header, hop_limit;
  __u8 source[16], destination[16];
} __attribute__((packed));

struct neighbour_message { /* RFC 4861 4.3, 4.4 */
  __u8 type, code;
  __be16 checksum;
  __be32 flags;
  __u8 target[16];
} __attribute__((packed));

struct transport_ports {
  __be16 source, destination;
} __attribute__((packed));

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, RINGPLANE_MAX_XDP_QUEUES);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, RINGPLANE_MAX_HOST_ADDRESSES);
  __type(key, struct ringplane_host_address);
  __type(value, __u8);
} host_addresses SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 2 * 65536);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct ringplane_host_port);
  __type(value, __u8);
} host_ports SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct ringplane_host_services);
} host_services SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} bypass SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} peer SEC(".maps");

static __always_inline int is_host_ipv4(const __u8* address) {
  struct ringplane_host_address key = {.family = 4};
  __builtin_memcpy(key.bytes, address, 4);
  return bpf_map_lookup_elem(&host_addresses, &key) != 0;
}

static __always_inline int is_host_ipv6(const __u8* address) {
  struct ringplane_host_address key = {.family = 6};
  __builtin_memcpy(key.bytes, address, 16);
  return bpf_map_lookup_elem(&host_addresses, &key) != 0;
}

static __always_inline int keeps_port(__u8 protocol, const void* at, const void* end) {
  const struct transport_ports* ports = at;
  if ((const void*)(ports + 1) > end) return 0;
  const struct ringplane_host_port key = {.port = bpf_ntohs(ports->destination), .protocol = protocol};
  return bpf_map_lookup_elem(&host_ports, &key) != 0;
}

static __always_inline int keeps_arp(const void* at, const void* end) {
  const struct arp_packet* arp = at;
  if ((const void*)(arp + 1) > end) return 0;
  if (arp->hardware_length != 6 || arp->protocol_length != 4) return 0;
  return is_host_ipv4(arp->target_address);
}

static __always_inline int keeps_ipv4(const void* at, const void* end, const struct ringplane_host_services* services) {
  const struct ipv4_header* ip = at;
  if ((const void*)(ip + 1) > end || !is_host_ipv4(ip->destination)) return 0;
  if (services->all) return 1;
  if (ip->fragment & bpf_htons(IPV4_FRAGMENT_BITS)) return 0;
  if (ip->protocol == PROTOCOL_ICMP) return services->icmp != 0;
  if (ip->protocol != PROTOCOL_TCP && ip->protocol != PROTOCOL_UDP) return 0;
  return keeps_port(ip->protocol, at + (ip->version_length & 0x0f) * 4, end);
}

static __always_inline int keeps_ipv6(const void* at, const void* end, const struct ringplane_host_services* services) {
  const struct ipv6_header* ip = at;
  if ((const void*)(ip + 1) > end) return 0;
  const void* payload = ip + 1;
  const struct neighbour_message* message = payload;
  const int is_neighbour_message =
      ip->next_header == PROTOCOL_ICMP6 && (const void*)(message + 1) <= end &&
      (message->type == ICMP6_NEIGHBOUR_SOLICITATION || message->type == ICMP6_NEIGHBOUR_ADVERTISEMENT);
  /* A solicitation goes to the multicast group of its target, which stands in the message (RFC 4861 4.3). */
  if (is_neighbour_message && message->type == ICMP6_NEIGHBOUR_SOLICITATION && is_host_ipv6(message->target)) return 1;
  if (!is_host_ipv6(ip->destination)) return 0;
  if (services->all || is_neighbour_message) return 1;
  if (ip->next_header == PROTOCOL_ICMP6) return services->icmp != 0;
  if (ip->next_header != PROTOCOL_TCP && ip->next_header != PROTOCOL_UDP) return 0;
  return keeps_port(ip->next_header, payload, end);
}

SEC("xdp")
int ringplane_redirect(struct xdp_md* packet) {
  const void* data = (const void*)(long)packet->data;
  const void* end = (const void*)(long)packet->data_end;
  const struct ethernet_header* ethernet = data;
  const __u32 only_slot = 0;
  const struct ringplane_host_services* services = bpf_map_lookup_elem(&host_services, &only_slot);
  if (services && (const void*)(ethernet + 1) <= end) {
    const void* payload = ethernet + 1;
    int keeps = 0;
    if (ethernet->type == bpf_htons(ETHERTYPE_ARP)) keeps = keeps_arp(payload, end);
    if (ethernet->type == bpf_htons(ETHERTYPE_IPV4)) keeps = keeps_ipv4(payload, end, services);
    if (ethernet->type == bpf_htons(ETHERTYPE_IPV6)) keeps = keeps_ipv6(payload, end, services);
    if (keeps) return XDP_PASS;
  }
  const __u32* way = bpf_map_lookup_elem(&bypass, &only_slot);
  if (way && *way == RINGPLANE_BYPASS_DROP) return XDP_DROP;
  if (way && *way == RINGPLANE_BYPASS_PEER) return bpf_redirect_map(&peer, 0, XDP_DROP);
  return bpf_redirect_map(&sockets, packet->rx_queue_index, XDP_PASS);
}

char apache_license[] SEC("license") = "Apache-2.0"; /* none of the helpers used asks for the GPL */
