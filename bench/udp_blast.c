// Sends UDP datagrams as fast as the kernel takes them; for bench/veth_bridge.py, which compiles it.
//   udp_blast ADDRESS PORT SECONDS PAYLOAD_BYTES FLOWS
// Prints how many the kernel took. One socket, so one source port, per flow; sendmmsg(2) with 64 datagrams a call.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <arpa/inet.h>
#include <sys/socket.h>

enum { kBurst = 64, kMaxFlows = 1024, kMaxPayload = 1472 };

static double now_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char** argv) {
  static char payload[kMaxPayload];
  static struct iovec parts[kBurst];
  static struct mmsghdr messages[kBurst];
  static int sockets[kMaxFlows];
  struct sockaddr_in to = {.sin_family = AF_INET};
  if (argc != 6 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) return 2;
  to.sin_port = htons((unsigned short)atoi(argv[2]));
  const double seconds = atof(argv[3]);
  const int bytes = atoi(argv[4]);
  const int flows = atoi(argv[5]);
  if (bytes < 0 || bytes > kMaxPayload || flows < 1 || flows > kMaxFlows) return 2;
  for (int i = 0; i < kBurst; ++i) {
    parts[i] = (struct iovec){.iov_base = payload, .iov_len = (size_t)bytes};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  }
  for (int i = 0; i < flows; ++i) {
    sockets[i] = socket(AF_INET, SOCK_DGRAM, 0);
    if (sockets[i] < 0 || connect(sockets[i], (const struct sockaddr*)&to, sizeof to) != 0) {
      perror("udp_blast");
      return 1;
    }
  }
  unsigned long long sent = 0;
  const double end = now_s() + seconds;
  for (int i = 0; now_s() < end; i = (i + 1) % flows) {
    const int count = sendmmsg(sockets[i], messages, kBurst, 0);
    if (count > 0) {
      sent += (unsigned)count;
    } else if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED) {
      perror("udp_blast");
      return 1;
    }
  }
  printf("%llu\n", sent);
  return 0;
}
