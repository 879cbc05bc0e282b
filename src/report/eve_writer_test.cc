#include "report/eve_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/file_descriptor.h"
#include "base/random.h"

namespace ringplane::report {
namespace {

struct Ends {
  base::FileDescriptor reader;
  base::FileDescriptor writer;
};

Ends make_pipe() {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe2(ends.data(), O_CLOEXEC), 0);
  (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {base::FileDescriptor(ends[0]), base::FileDescriptor(ends[1])};
}

Ends make_sockets(int type) {
  std::array<int, 2> ends{};
  EXPECT_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()), 0);
  (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {base::FileDescriptor(ends[0]), base::FileDescriptor(ends[1])};
}

/// What can be read now, at most `most` bytes.
std::string read_some(int descriptor, std::size_t most = SIZE_MAX) {
  std::string all;
  std::array<char, 1000> piece{};
  while (all.size() < most) {
    const ssize_t got = read(descriptor, piece.data(), std::min(piece.size(), most - all.size()));
    if (got <= 0) break;
    all.append(piece.data(), static_cast<std::size_t>(got));
  }
  return all;
}

TEST(EveWriter, NowhereIsNoLoss) {
  EveWriter writer;
  writer.write("{}");
  writer.flush();
  EXPECT_EQ(writer.written() + writer.waiting() + writer.lost(), 0U);
}

TEST(EveWriter, LinesWaitUntilThereIsSomebody) {
  EveWriter writer;
  writer.change_to({});
  writer.write("one");
  writer.write("two");
  writer.flush();
  EXPECT_EQ(writer.waiting(), 2U);
  EXPECT_EQ(writer.why(), ENOTCONN);
  Ends pipe = make_pipe();
  writer.change_to(std::move(pipe.writer));
  EXPECT_EQ(read_some(pipe.reader.get()), "one\ntwo\n");
  EXPECT_EQ(writer.written(), 2U);
  EXPECT_EQ(writer.why(), 0);
}

TEST(EveWriter, WhatWaitsHasALimitAndTheRestIsCounted) {
  EveWriter writer;
  writer.change_to({});
  const std::string line(1023, 'x');
  for (int i = 0; i < 2000; ++i) writer.write(line);
  EXPECT_EQ(writer.waiting() + writer.lost(), 2000U);
  EXPECT_LE(writer.waiting() * 1024, EveWriter::kMostWaitingBytes);
  EXPECT_GT(writer.waiting() * 1024, EveWriter::kMostWaitingBytes - 4096);
}

TEST(EveWriter, AFullPipeDoesNotHoldUp) {
  Ends pipe = make_pipe();  // not O_NONBLOCK at the writer's end: others may have it too
  EveWriter writer;
  writer.change_to(std::move(pipe.writer));
  const std::string line(999, 'x');
  for (int i = 0; i < 200; ++i) writer.write(line);
  writer.flush();
  EXPECT_EQ(writer.why(), EAGAIN);
  EXPECT_GT(writer.written(), 0U);
  EXPECT_GT(writer.waiting(), 0U);
  std::string all = read_some(pipe.reader.get());
  while (writer.waiting() > 0) {
    writer.flush();
    all += read_some(pipe.reader.get());
  }
  EXPECT_EQ(all.size(), 200'000U);
  EXPECT_EQ(writer.lost(), 0U);
}

TEST(EveWriter, AFullDiskLosesNoLineWhileThereIsRoomToWait) {
  EveWriter writer;
  writer.change_to(base::FileDescriptor(open("/dev/full", O_WRONLY | O_CLOEXEC)));
  writer.write("kept");
  writer.flush();
  EXPECT_EQ(writer.why(), ENOSPC);
  EXPECT_EQ(writer.waiting(), 1U);
  Ends pipe = make_pipe();
  writer.change_to(std::move(pipe.writer));
  EXPECT_EQ(read_some(pipe.reader.get()), "kept\n");
}

TEST(EveWriter, AReaderThatHasGoneIsNoSignalAndNoEnd) {
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    Ends sockets = make_sockets(type);
    EveWriter writer;
    writer.change_to(std::move(sockets.writer));
    writer.write("one");
    writer.flush();
    EXPECT_EQ(read_some(sockets.reader.get()), "one\n");
    sockets.reader = base::FileDescriptor();
    writer.write("two");
    writer.flush();
    EXPECT_NE(writer.why(), 0);
    EXPECT_EQ(writer.waiting(), 1U);
    Ends others = make_sockets(type);
    writer.change_to(std::move(others.writer));
    EXPECT_EQ(read_some(others.reader.get()), "two\n");
  }
}

TEST(EveWriter, ADatagramIsALine) {
  Ends sockets = make_sockets(SOCK_DGRAM);
  EveWriter writer;
  writer.change_to(std::move(sockets.writer));
  writer.write("one");
  writer.write("two");
  writer.flush();
  std::array<char, 100> piece{};
  EXPECT_EQ(recv(sockets.reader.get(), piece.data(), piece.size(), 0), 4);
  EXPECT_EQ(recv(sockets.reader.get(), piece.data(), piece.size(), 0), 4);
}

TEST(EveWriter, ADatagramThatIsTooLongIsOneLostLine) {
  Ends sockets = make_sockets(SOCK_DGRAM);
  const int small = 4096;
  ASSERT_EQ(setsockopt(sockets.writer.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  EveWriter writer;
  writer.change_to(std::move(sockets.writer));
  writer.write(std::string(60'000, 'x'));
  writer.write("short");
  writer.flush();
  EXPECT_EQ(read_some(sockets.reader.get()), "short\n");
  EXPECT_EQ(writer.lost(), 1U);
}

/// Readers that read a bit, go in the middle of a line and are followed by others, as often as one likes: each line
/// comes to one of them whole, and in its order.
TEST(EveWriter, WholeLinesInOrderOverAnyNumberOfReaders) {
  for (const std::uint64_t seed : {1ULL, 2ULL, 3ULL}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Random random(seed);
    EveWriter writer;
    writer.change_to({});
    std::string expected;
    std::string got;   // by readers that have gone
    std::string here;  // by the present one
    Ends now;
    for (int i = 0; i < 3000; ++i) {
      const std::string line = std::to_string(i) + std::string(random.below(5000), 'x');
      writer.write(line);
      expected += line + "\n";
      if (random.below(5) == 0) writer.flush();
      if (random.below(5) == 0) here += read_some(now.reader.get(), random.below(100'000));
      if (i == 0 || random.below(50) == 0) {
        here += read_some(now.reader.get());
        got += here.substr(0, here.rfind('\n') + 1);  // a half line goes to the next reader, whole
        here.clear();
        now = random.below(2) == 0 ? make_pipe() : make_sockets(SOCK_STREAM);
        writer.change_to(std::move(now.writer));
      }
    }
    while (writer.waiting() > 0) {
      writer.flush();
      here += read_some(now.reader.get());
    }
    EXPECT_EQ(writer.lost(), 0U);
    got += here;
    const auto differ = static_cast<std::size_t>(std::ranges::mismatch(got, expected).in1 - got.begin());
    EXPECT_TRUE(got == expected) << "from byte " << differ << " of " << expected.size() << " on";
  }
}

}  // namespace
}  // namespace ringplane::report
