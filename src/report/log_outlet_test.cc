#include "report/log_outlet.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/file_descriptor.h"

namespace ringplane::report {
namespace {

namespace files = std::filesystem;
using ::testing::HasSubstr;

class LogFolder : public ::testing::Test {
 protected:
  LogFolder() {
    std::string name = (files::temp_directory_path() / "ringplane-log-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  void TearDown() override { files::remove_all(folder_); }
  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }
  [[nodiscard]] static std::string text_of(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  static void write_to(const base::FileDescriptor& file, const std::string& text) {
    ASSERT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void put(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }
  /// Lets the outlet look, as one tick long after the one before.
  bool is_due(LogOutlet& outlet, const base::FileDescriptor& now) {
    now_ns_ += 10 * base::kNanosPerSecond;
    return outlet.is_due(now.get(), now_ns_);
  }

  std::string folder_;
  std::uint64_t now_ns_ = 0;
};

TEST_F(LogFolder, AFileIsRotatedWhenItIsLongAndSoManyAreKept) {
  LogOutlet outlet({.file = path("eve"), .rotate_bytes = 10, .rotate_keep = 2});
  auto now = outlet.open();
  ASSERT_TRUE(now);
  for (const std::string text : {"first\n", "second\n", "third\n", "fourth\n"}) {
    write_to(*now, text);
    EXPECT_FALSE(is_due(outlet, *now)) << text;
    write_to(*now, text);
    ASSERT_TRUE(is_due(outlet, *now)) << text;
    auto next = outlet.next(now->get());
    ASSERT_TRUE(next);
    now = std::move(next);
  }
  EXPECT_EQ(text_of(path("eve")), "");
  EXPECT_EQ(text_of(path("eve.1")), "fourth\nfourth\n");
  EXPECT_EQ(text_of(path("eve.2")), "third\nthird\n");
  EXPECT_FALSE(files::exists(path("eve.3")));
}

TEST_F(LogFolder, NoOldFileIsKeptIfNoneIsWanted) {
  LogOutlet outlet({.file = path("eve"), .rotate_bytes = 3, .rotate_keep = 0});
  const auto now = outlet.open();
  write_to(*now, "first\n");
  ASSERT_TRUE(is_due(outlet, *now));
  ASSERT_TRUE(outlet.next(now->get()));
  EXPECT_EQ(text_of(path("eve")), "");
  EXPECT_FALSE(files::exists(path("eve.1")));
}

TEST_F(LogFolder, ZeroIsNever) {
  LogOutlet outlet({.file = path("eve"), .rotate_bytes = 0});
  const auto now = outlet.open();
  write_to(*now, std::string(100'000, 'x'));
  EXPECT_FALSE(is_due(outlet, *now));
}

TEST_F(LogFolder, AFileThatWasMovedAwayIsMadeAgain) {
  LogOutlet outlet({.file = path("eve")});
  const auto now = outlet.open();
  EXPECT_FALSE(is_due(outlet, *now));
  files::rename(path("eve"), path("eve-20260101"));
  ASSERT_TRUE(is_due(outlet, *now));
  const auto next = outlet.next(now->get());
  ASSERT_TRUE(next);
  write_to(*next, "new\n");
  EXPECT_EQ(text_of(path("eve")), "new\n");
  EXPECT_FALSE(is_due(outlet, *next));
}

TEST_F(LogFolder, WhatCannotBeRotatedGoesOnAndIsTriedAgainLater) {
  LogOutlet outlet({.file = path("eve"), .rotate_bytes = 3});
  const auto now = outlet.open();
  write_to(*now, "first\n");
  files::create_directory(path("eve.new"));  // in the way
  ASSERT_TRUE(is_due(outlet, *now));
  const auto next = outlet.next(now->get());
  ASSERT_FALSE(next);
  EXPECT_THAT(next.error().message, HasSubstr("lines go on into the old file"));
  EXPECT_EQ(text_of(path("eve")), "first\n");
  EXPECT_FALSE(outlet.is_due(now->get(), now_ns_ + base::kNanosPerSecond)) << "not at every tick";
  files::remove(path("eve.new"));
  ASSERT_TRUE(is_due(outlet, *now));
  EXPECT_TRUE(outlet.next(now->get()));
}

TEST_F(LogFolder, AFolderThatIsNotThereIsSaid) {
  const auto opened = LogOutlet({.file = path("none/eve")}).open();
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("create its folder"));
}

TEST_F(LogFolder, OnlyAFileCanBeReopened) {
  EXPECT_FALSE(LogOutlet({.file = "-"}).reopen());
  EXPECT_FALSE(LogOutlet({.file = "unix:" + path("socket")}).reopen());
  EXPECT_TRUE(LogOutlet({.file = path("eve")}).reopen());
}

TEST_F(LogFolder, AHalfLineAtTheEndIsCut) {
  struct Case {
    std::string before;
    std::string after;
  };
  const std::string lengthy(10'000, 'x');
  for (const auto& [before, after] :
       {Case{"{}\n{}\n", "{}\n{}\n"}, Case{"{}\n{\"a\":", "{}\n"}, Case{"{}\n{" + lengthy, "{}\n"}, Case{"{\"a\"", ""},
        Case{"somebody's text", "somebody's text"}, Case{"", ""}}) {
    put("eve", before);
    const base::FileDescriptor file(open(path("eve").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    cut_to_whole_lines(file.get());
    EXPECT_EQ(text_of(path("eve")), after) << before.substr(0, 40);
  }
  cut_to_whole_lines(-1);
}

}  // namespace
}  // namespace ringplane::report
