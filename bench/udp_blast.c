// Sends UDP datagrams as fast as the kernel takes them; for bench/veth_bridge.py and veth_rules.py, which compile it.
//   udp_blast ADDRESS PORT SECONDS PAYLOAD_BYTES FLOWS [FIRST_SOURCE]
// Prints how many the kernel took, and in how many seconds; sendmmsg(2) with 64 datagrams a call. Without FIRST_SOURCE
// each flow has a socket, so a source port, and the next burst is of the next flow. With it every datagram is a new
// flow: it leaves a raw socket (so as root) from FIRST_SOURCE, port 1024, 1025 ... 65535, then from the address after
// that, until there have been FLOWS of them or SECONDS are over. Those have no UDP checksum.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>

enum { kBurst = 64, kMaxFlows = 1024, kMaxPayload = 1472, kFirstPort = 1024, kPorts = 65536 - kFirstPort };

struct Packet {
  struct iphdr ip;
  struct udphdr udp;
  char payload[kMaxPayload];
};

static double now_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fail(void) {
  perror("udp_blast");
  exit(1);
}

static unsigned long long send_flows(const struct sockaddr_in* to, double seconds, int bytes, int flows) {
  static char payload[kMaxPayload];
  static struct iovec parts[kBurst];
  static struct mmsghdr messages[kBurst];
  static int sockets[kMaxFlows];
  for (int i = 0; i < kBurst; ++i) {
    parts[i] = (struct iovec){.iov_base = payload, .iov_len = (size_t)bytes};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  }
  for (int i = 0; i < flows; ++i) {
    sockets[i] = socket(AF_INET, SOCK_DGRAM, 0);
    if (sockets[i] < 0 || connect(sockets[i], (const struct sockaddr*)to, sizeof *to) != 0) fail();
  }
  unsigned long long sent = 0;
  const double end = now_s() + seconds;
  for (int i = 0; now_s() < end; i = (i + 1) % flows) {
    const int count = sendmmsg(sockets[i], messages, kBurst, 0);
    if (count > 0) {
      sent += (unsigned)count;
    } else if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED) {
      fail();
    }
  }
  return sent;
}

static unsigned long long send_new_flows(struct sockaddr_in* to, double seconds, int bytes, unsigned flows,
                                         unsigned first_source) {
  static struct Packet packets[kBurst];
  static struct iovec parts[kBurst];
  static struct mmsghdr messages[kBurst];
  const int raw = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
  if (raw < 0) fail();
  const unsigned udp_bytes = (unsigned)sizeof(struct udphdr) + (unsigned)bytes;
  const unsigned ip_bytes = (unsigned)sizeof(struct iphdr) + udp_bytes;
  for (int i = 0; i < kBurst; ++i) {
    // The kernel fills in length, identification and checksum of the IP header.
    packets[i].ip =
        (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .daddr = to->sin_addr.s_addr};
    packets[i].udp = (struct udphdr){.dest = to->sin_port, .len = htons((unsigned short)udp_bytes)};
    parts[i] = (struct iovec){.iov_base = &packets[i], .iov_len = ip_bytes};
    messages[i].msg_hdr =
        (struct msghdr){.msg_name = to, .msg_namelen = sizeof *to, .msg_iov = &parts[i], .msg_iovlen = 1};
  }
  unsigned sent = 0;
  const double end = now_s() + seconds;
  while (sent < flows && now_s() < end) {
    const unsigned want = flows - sent < kBurst ? flows - sent : kBurst;
    for (unsigned i = 0; i < want; ++i) {
      packets[i].ip.saddr = htonl(first_source + (sent + i) / kPorts);
      packets[i].udp.source = htons((unsigned short)(kFirstPort + (sent + i) % kPorts));
    }
    const int count = sendmmsg(raw, messages, want, 0);
    if (count > 0) {
      sent += (unsigned)count;
    } else if (errno != ENOBUFS && errno != EAGAIN) {
      fail();
    }
  }
  return sent;
}

int main(int argc, char** argv) {
  struct sockaddr_in to = {.sin_family = AF_INET};
  struct in_addr source = {0};
  if (argc < 6 || argc > 7 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) return 2;
  const int every_one_new = argc == 7;
  if (every_one_new && inet_pton(AF_INET, argv[6], &source) != 1) return 2;
  const unsigned short port = htons((unsigned short)atoi(argv[2]));
  const double seconds = atof(argv[3]);
  const int bytes = atoi(argv[4]);
  const int flows = atoi(argv[5]);
  if (bytes < 0 || bytes > kMaxPayload || flows < 1 || (!every_one_new && flows > kMaxFlows)) return 2;
  to.sin_port = port;
  const double start = now_s();
  const unsigned long long sent = every_one_new
                                      ? send_new_flows(&to, seconds, bytes, (unsigned)flows, ntohl(source.s_addr))
                                      : send_flows(&to, seconds, bytes, flows);
  printf("%llu %.6f\n", sent, now_s() - start);
  return 0;
}
