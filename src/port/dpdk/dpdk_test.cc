#include <gtest/gtest.h>

#include "port/dpdk/dpdk_port.h"
namespace ringplane::port {
namespace {
TEST(Dpdk, Starts) {
  auto arena = frame::Arena::create({.frame_count = 4096, .frame_bytes = 2048, .huge_pages = false});
  ASSERT_TRUE(arena);
  frame::FramePool pool(*arena, 0, 4096);
  auto ports = LoadedDpdkPorts::create(*arena, {});
  ASSERT_TRUE(ports) << ports.error().message;
  auto port = (*ports)->open({.device = "net_ring0"});
  ASSERT_TRUE(port) << port.error().message;
  auto queue = (*port)->open_queue(0, pool);
  ASSERT_TRUE(queue) << queue.error().message;
  puts((*port)->description().c_str());
}
}  // namespace
}  // namespace ringplane::port
