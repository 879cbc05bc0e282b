#include "control/sandbox.h"

#include <unistd.h>

#include <string>

#include <gtest/gtest.h>
#include <sys/wait.h>

namespace ringplane::control {
namespace {

/// Runs `body` in a child process; what it returns is the exit code.
template <class Body>
int in_child(Body&& body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int refused_count() {
  int refused = 0;
  for (const Attempt& attempt : try_to_break_out()) refused += attempt.refused ? 1 : 0;
  return refused;
}

TEST(Sandbox, WithoutItMostAttemptsSucceed) {
  const auto attempts = try_to_break_out();
  EXPECT_FALSE(attempts.at(0).refused) << attempts[0].what;
  EXPECT_FALSE(attempts.at(2).refused) << attempts[2].what;
}

TEST(Sandbox, EveryAttemptIsRefused) {
  const auto all = static_cast<int>(try_to_break_out().size());
  EXPECT_EQ(in_child([] {
              if (!give_up_rights() || !allow_few_system_calls()) return 200;
              return refused_count();
            }),
            all);
}

TEST(Sandbox, FilesAreGoneEvenWithoutTheFilterOfSystemCalls) {
  EXPECT_EQ(in_child([] {
              const auto missing = give_up_rights();
              if (!missing) return 200;
              if (!missing->empty()) return 0;  // no Landlock here, and it says so
              return access("/etc/passwd", R_OK) == 0 && !try_to_break_out().at(0).refused ? 1 : 0;
            }),
            0);
}

TEST(Sandbox, WhatADataPlaneNeedsStillWorks) {
  EXPECT_EQ(in_child([] {
              if (!give_up_rights() || !allow_few_system_calls()) return 200;
              std::string text;
              for (int i = 0; i < 100'000; ++i) text += "memory ";
              return write(STDERR_FILENO, "", 0) == 0 && text.size() == 700'000 ? 0 : 1;
            }),
            0);
}

}  // namespace
}  // namespace ringplane::control
