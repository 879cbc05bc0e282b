#include "control/sandbox.h"

#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/result.h"

namespace ringplane::control {
namespace {

std::unexpected<base::Error> failed_to(const char* what, int error) {
  return base::fail(std::string("the data process cannot ") + what + ": " + std::strerror(error));
}

/// Access to files that the kernel can take away; 0: it has no Landlock. Later versions know more kinds.
std::uint64_t known_file_access() {
  const auto version =
      static_cast<int>(syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
  if (version < 1) return 0;
  std::uint64_t access = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;  // all of version 1
  if (version >= 2) access |= std::uint64_t{1} << 13;             // LANDLOCK_ACCESS_FS_REFER
  if (version >= 3) access |= std::uint64_t{1} << 14;             // LANDLOCK_ACCESS_FS_TRUNCATE
  return access;
}

/// False: this kernel has no Landlock.
base::Result<bool> give_up_files() {
  const landlock_ruleset_attr attributes{.handled_access_fs = known_file_access()};
  if (attributes.handled_access_fs == 0) return false;
  const auto ruleset = static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0));
  if (ruleset < 0) return failed_to("give up the file system", errno);
  const auto restricted = syscall(SYS_landlock_restrict_self, ruleset, 0);  // no rule: no path is excepted
  const int error = errno;
  close(ruleset);
  if (restricted != 0) return failed_to("give up the file system", error);
  return true;
}

struct Release {
  void operator()(void* filter) const noexcept { seccomp_release(filter); }
};

}  // namespace

base::Result<std::string> give_up_rights() {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    (void)prctl(PR_CAPBSET_DROP, capability);  // refused without CAP_SETPCAP: then there are none to gain either
  }
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const std::array<__user_cap_data_struct, 2> none{};
  if (syscall(SYS_capset, &header, none.data()) != 0) return failed_to("give up its capabilities", errno);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed_to("give up gaining privileges", errno);
  const auto files = give_up_files();
  if (!files) return std::unexpected(files.error());
  return std::string(*files ? "" : "this kernel has no Landlock");
}

base::Result<void> allow_few_system_calls() {
  const std::unique_ptr<void, Release> filter(seccomp_init(SCMP_ACT_ERRNO(EPERM)));
  if (filter == nullptr) return base::fail("the data process cannot make its list of system calls");
  int error = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  const auto allow = [&](int call) {
    if (error == 0) error = seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call, 0, nullptr);
  };
  // libseccomp's own SCMP_A0() ... are C.
  const auto equals = [](unsigned argument, scmp_datum_t value) {
    return scmp_arg_cmp{.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value, .datum_b = 0};
  };
  const auto masked = [](unsigned argument, scmp_datum_t mask, scmp_datum_t value) {
    return scmp_arg_cmp{.arg = argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
  };
  const auto allow_if = [&](int call, scmp_arg_cmp condition) {
    if (error == 0) error = seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call, 1, &condition);
  };
  // Descriptors that it has.
  for (const int call : {SCMP_SYS(read), SCMP_SYS(pread64), SCMP_SYS(readv), SCMP_SYS(write), SCMP_SYS(writev),
                         SCMP_SYS(pwrite64), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(fstat), SCMP_SYS(fstatfs),
                         SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
                         SCMP_SYS(accept4), SCMP_SYS(shutdown), SCMP_SYS(getsockopt)}) {
    allow(call);
  }
  allow_if(SCMP_SYS(sendto), equals(4, 0));                                 // only to whom a socket is connected
  allow_if(SCMP_SYS(newfstatat), masked(3, AT_EMPTY_PATH, AT_EMPTY_PATH));  // fstat() of newer libraries
  allow_if(SCMP_SYS(fcntl), equals(1, F_DUPFD_CLOEXEC));
  allow_if(SCMP_SYS(fcntl), equals(1, F_GETFL));
  allow_if(SCMP_SYS(setsockopt), equals(1, SOL_SOCKET));  // patience
  allow_if(SCMP_SYS(ioctl), equals(1, SIOCGIFNAME));      // the state of a link
  allow_if(SCMP_SYS(ioctl), equals(1, SIOCGIFFLAGS));
  // Memory, never executable.
  for (const int call : {SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk)}) allow(call);
  allow_if(SCMP_SYS(mmap), masked(2, PROT_EXEC, 0));
  allow_if(SCMP_SYS(mprotect), masked(2, PROT_EXEC, 0));
  // Where its own memory comes from and lies.
  for (const int call : {SCMP_SYS(get_mempolicy), SCMP_SYS(set_mempolicy)}) allow(call);
  if (error == 0) {
    const std::array<scmp_arg_cmp, 2> asks_of_itself{equals(0, 0), equals(3, 0)};
    error = seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(move_pages), asks_of_itself.size(),
                                   asks_of_itself.data());
  }
  // Threads that it has, time, chance, the end.
  for (const int call : {SCMP_SYS(futex),
                         SCMP_SYS(sched_yield),
                         SCMP_SYS(sched_getaffinity),
                         SCMP_SYS(sched_setaffinity),
                         SCMP_SYS(gettid),
                         SCMP_SYS(getpid),
                         SCMP_SYS(rseq),
                         SCMP_SYS(set_robust_list),
                         SCMP_SYS(clock_gettime),
                         SCMP_SYS(clock_nanosleep),
                         SCMP_SYS(nanosleep),
                         SCMP_SYS(gettimeofday),
                         SCMP_SYS(getrandom),
                         SCMP_SYS(rt_sigaction),
                         SCMP_SYS(rt_sigprocmask),
                         SCMP_SYS(rt_sigreturn),
                         SCMP_SYS(sigaltstack),
                         SCMP_SYS(restart_syscall),
                         SCMP_SYS(exit),
                         SCMP_SYS(exit_group)}) {
    allow(call);
  }
  allow_if(SCMP_SYS(tgkill), equals(0, static_cast<scmp_datum_t>(getpid())));  // abort()
  allow_if(SCMP_SYS(prctl), equals(0, PR_SET_TIMERSLACK));
  if (error == 0) error = seccomp_load(filter.get());
  if (error != 0) return failed_to("restrict its system calls", -error);
  return {};
}

std::vector<Attempt> try_to_break_out() {
  std::vector<Attempt> attempts;
  const auto note = [&](const char* what, bool succeeded) {
    const int error = errno;
    attempts.push_back({.what = what, .refused = !succeeded, .how = succeeded ? "it succeeded" : std::strerror(error)});
  };
  const auto note_descriptor = [&](const char* what, int descriptor) {
    note(what, descriptor >= 0);
    if (descriptor >= 0) close(descriptor);
  };
  note_descriptor("open a file for reading", open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  note_descriptor("open a file for writing", open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  note_descriptor("open an internet socket", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  note_descriptor("open a packet socket", socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  // No socket has this number: were the call allowed, the error would be another one.
  sockaddr_storage elsewhere{};
  elsewhere.ss_family = AF_INET;
  (void)sendto(-1, "", 0, 0, reinterpret_cast<const sockaddr*>(&elsewhere), sizeof(sockaddr_in));
  note("send a datagram to an address of its own", errno != EPERM);
  const pid_t child = static_cast<pid_t>(syscall(SYS_fork));
  if (child == 0) _exit(0);
  note("start a process", child > 0);
  if (child > 0) waitpid(child, nullptr, 0);
  // A program that cannot be there: were it allowed to look for it, the error would be another one.
  const std::array<char*, 1> no_words{nullptr};
  execve("/nonexistent/program", no_words.data(), no_words.data());
  note("run a program", errno == ENOENT);
  void* code = mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  note("make memory executable", code != MAP_FAILED);
  if (code != MAP_FAILED) munmap(code, 4096);
  note("send a signal to another process", kill(1, 0) == 0);
  const __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> wanted{};
  wanted[0].effective = wanted[0].permitted = 1U << CAP_NET_ADMIN;
  note("gain a capability", syscall(SYS_capset, &header, wanted.data()) == 0);
  return attempts;
}

}  // namespace ringplane::control
