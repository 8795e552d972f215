#include "runtime/isolate.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>

#include "ir/base/error.h"

namespace lathe {
namespace {

// Closes the child's output: without it the child did not come to its end.
struct Trailer {
  char magic[8] = {'f', 'i', 'n', 'i', 's', 'h', 'e', 'd'};
  int64_t outcome = -1;  // -1: the work's bytes precede; otherwise an ErrorKind, its text precedes
};

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

void silence() {
  const int null = ::open("/dev/null", O_RDWR);
  if (null < 0) return;
  ::dup2(null, STDOUT_FILENO);
  ::dup2(null, STDERR_FILENO);
}

void limit(int resource, rlim_t value) {
  const rlimit wanted{value, value};
  ::setrlimit(static_cast<__rlimit_resource>(resource), &wanted);
}

// Under a sanitizer there is no limit: shadow memory alone takes terabytes of addresses.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void limit_memory(int64_t) {}
#else
int64_t mapped_bytes() {
  char text[64] = {};
  const Descriptor statm(::open("/proc/self/statm", O_RDONLY | O_CLOEXEC));
  if (::read(statm.get(), text, sizeof text - 1) <= 0) return 0;
  return std::atoll(text) * ::sysconf(_SC_PAGESIZE);  // the first number: pages mapped
}

void limit_memory(int64_t bytes) { limit(RLIMIT_AS, static_cast<rlim_t>(mapped_bytes() + bytes)); }
#endif

void apply(const IsolationLimits& limits) {
  // The host's crash handlers (a test framework's, a sanitizer's) are not ours to run here.
  for (const int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGXCPU, SIGALRM, SIGTERM})
    std::signal(s, SIG_DFL);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, limits.cpu_seconds);
  // Against waiting for ever on a lock that another thread held during the fork.
  ::alarm(limits.cpu_seconds * 10);
  limit_memory(limits.memory_bytes);
}

void finish(int output, int64_t outcome, std::string_view text) noexcept {
  Trailer trailer;
  trailer.outcome = outcome;
  try {
    const std::string name = "child process";
    FileWriter writer(output, name);
    if (outcome >= 0 && (::ftruncate(output, 0) != 0 || ::lseek(output, 0, SEEK_SET) != 0))
      ::_exit(1);
    writer.write(text);
    writer.write(&trailer, sizeof trailer);
  } catch (...) {
    ::_exit(1);
  }
  ::_exit(0);
}

[[noreturn]] void run_child(int output, const std::string& place, const IsolationLimits& limits,
                            const std::function<void(FileWriter&)>& work) {
  const auto user = static_cast<int64_t>(ErrorKind::User);
  try {
    silence();
    apply(limits);
    FileWriter writer(output, place);
    work(writer);
    finish(output, -1, "");
  } catch (const Error& error) {
    finish(output, static_cast<int64_t>(error.kind()), error.what());
  } catch (const std::bad_alloc&) {
    finish(output, user, place + ": reading it takes more memory than its size allows");
  } catch (const std::exception& error) {
    finish(output, static_cast<int64_t>(ErrorKind::Internal), error.what());
  }
  ::_exit(1);
}

// How the child ended, in words. A host that ignores SIGCHLD leaves nothing to wait for.
std::string wait_for(pid_t child) {
  int status = 0;
  pid_t ended = 0;
  do ended = ::waitpid(child, &status, 0);
  while (ended < 0 && errno == EINTR);
  if (ended != child || !WIFSIGNALED(status)) return "ended early";
  const int signal = WTERMSIG(status);
  if (signal == SIGXCPU || signal == SIGALRM || signal == SIGKILL) return "did not come to an end";
  return fmt::format("crashed (signal {})", signal);
}

}  // namespace

IsolatedResult run_isolated(const std::string& place, const IsolationLimits& limits,
                            const std::function<void(FileWriter&)>& work) {
  const Descriptor output(::memfd_create("lathe-isolated", MFD_CLOEXEC));
  const pid_t child = output.get() < 0 ? -1 : ::fork();
  if (child < 0)
    fail("{}: cannot start a process to read it in: {}", place,
         std::generic_category().message(errno));
  if (child == 0) run_child(output.get(), place, limits, work);
  const std::string ending = wait_for(child);

  auto result = MappedFile::of_descriptor(output.get(), place);
  const auto bytes = result->bytes();
  Trailer trailer;
  const Trailer expected;
  if (bytes.size() >= sizeof trailer)
    std::memcpy(&trailer, bytes.data() + bytes.size() - sizeof trailer, sizeof trailer);
  if (bytes.size() < sizeof trailer ||
      std::memcmp(trailer.magic, expected.magic, sizeof trailer.magic) != 0)
    fail("{}: the file is damaged: the process that read it {}", place, ending);
  const auto content = bytes.first(bytes.size() - sizeof trailer);
  if (trailer.outcome >= 0)
    throw Error(static_cast<ErrorKind>(trailer.outcome),
                std::string(reinterpret_cast<const char*>(content.data()), content.size()));
  return {content, std::move(result)};
}

}  // namespace lathe
