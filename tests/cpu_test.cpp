#include "runtime/cpu.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

#include "ir/base/error.h"

using namespace lathe;

namespace {

constexpr uint32_t kZen4 = 0xa10f11, kZen5 = 0xb00f21, kSapphireRapids = 0x806f8;
constexpr CpuidBits kFullCpu = {.leaf1_eax = kZen5,
                                .leaf1_ecx = ~0u,
                                .leaf7_ebx = ~0u,
                                .leaf7_ecx = ~0u,
                                .leaf7_1_eax = ~0u,
                                .xcr0 = 0xe7};

std::map<std::string, std::string> variables;

Options options_with(std::map<std::string, std::string> given) {
  variables = std::move(given);
  return read_options([](const char* name) -> const char* {
    auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string error_of(auto&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// A file tree that stands for / while it lives.
struct FakeRoot {
  std::filesystem::path path;
  FakeRoot() {
    std::string name = (std::filesystem::temp_directory_path() / "lathe-cpu-test-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~FakeRoot() { std::filesystem::remove_all(path); }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((path / file).parent_path());
    std::ofstream(path / file) << text;
  }
};

}  // namespace

TEST_CASE("every ISA is found from its bits") {
  Target full = target_from(kFullCpu);
  CHECK(full.isa == Isa::avx512);
  CHECK(full.bf16);
  CHECK(full.vnni);

  CpuidBits zen4 = kFullCpu, intel = kFullCpu;
  zen4.leaf1_eax = kZen4;
  intel.leaf1_eax = kSapphireRapids;
  CHECK(full.two_fma512);
  CHECK_FALSE(target_from(zen4).two_fma512);
  CHECK_FALSE(target_from(intel).two_fma512);
  intel.leaf7_edx = 1u << 24;
  CHECK(target_from(intel).two_fma512);

  CpuidBits no_vl = kFullCpu;
  no_vl.leaf7_ebx &= ~(1u << 31);
  CHECK(target_from(no_vl).isa == Isa::avx2);
  CHECK_FALSE(target_from(no_vl).bf16);

  CpuidBits no_fma = kFullCpu;
  no_fma.leaf1_ecx &= ~(1u << 12);
  CHECK(target_from(no_fma).isa == Isa::sse42);

  CHECK(target_from(CpuidBits{}).isa == Isa::scalar);
}

TEST_CASE("an ISA whose registers the operating system does not save is not used") {
  CpuidBits bits = kFullCpu;
  bits.xcr0 = 0x7;
  CHECK(target_from(bits).isa == Isa::avx2);
  bits.xcr0 = 0x3;
  CHECK(target_from(bits).isa == Isa::sse42);
}

TEST_CASE("LATHE_ISA limits the features") {
  Target native = target_from(kFullCpu);
  CHECK(limit_isa(native, "").isa == Isa::avx512);
  CHECK(limit_isa(native, "avx512").bf16);
  CHECK(limit_isa(native, "avx2").isa == Isa::avx2);
  CHECK_FALSE(limit_isa(native, "avx2").vnni);
  CHECK_FALSE(limit_isa(native, "avx2").two_fma512);
  CHECK(limit_isa(native, "sse42").isa == Isa::sse42);
}

TEST_CASE("a LATHE_ISA that cannot be had is an error naming what can") {
  Target avx2;
  avx2.isa = Isa::avx2;
  CHECK(error_of([&] { limit_isa(avx2, "avx512"); }) ==
        "LATHE_ISA='avx512': this CPU or its operating system does not support it; "
        "allowed here: sse42, avx2");
  CHECK(error_of([&] { limit_isa(avx2, "AVX2"); }) ==
        "LATHE_ISA='AVX2': no such instruction set; allowed here: sse42, avx2");
  CHECK(error_of([&] { limit_isa(Target{}, "sse42"); }).find("leave it unset") !=
        std::string::npos);
}

TEST_CASE("this machine is described") {
  const CpuInfo& cpu = detect_cpu();
  MESSAGE(cpu.name << ": " << name(cpu.target.isa) << ", L1d " << cpu.target.l1_bytes << ", L2 "
                   << cpu.target.l2_bytes << ", L3 " << cpu.target.l3_bytes << ", CPUs " << cpu.cpus
                   << ", quota " << cpu.quota);
  CHECK(cpu.target.isa <= cpu.native.isa);
  CHECK(cpu.target.l1_bytes >= 8 << 10);
  CHECK(cpu.target.l2_bytes >= cpu.target.l1_bytes);
  CHECK(cpu.cpus >= 1);
  CHECK(cpu.quota >= 0);
#if defined(__x86_64__)
  CHECK((__builtin_cpu_supports("avx2") != 0) == (cpu.native.isa >= Isa::avx2));
  CHECK((__builtin_cpu_supports("avx512vl") != 0) == (cpu.native.isa == Isa::avx512));
#endif
}

TEST_CASE("a cgroup v2 quota counts, its parents' too") {
  FakeRoot root;
  root.write("proc/self/cgroup", "0::/job/step\n");
  root.write("proc/self/mountinfo",
             "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
  root.write("sys/fs/cgroup/job/step/cpu.max", "max 100000\n");
  CHECK(cgroup_quota(root.path) == 0);
  root.write("sys/fs/cgroup/job/cpu.max", "150000 100000\n");
  CHECK(cgroup_quota(root.path) == 1.5);
  root.write("sys/fs/cgroup/job/step/cpu.max", "50000 100000\n");
  CHECK(cgroup_quota(root.path) == 0.5);
}

TEST_CASE("a cgroup v1 quota counts where a container mounts only its own folder") {
  FakeRoot root;
  root.write("proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n");
  root.write("proc/self/mountinfo",
             "36 31 0:33 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
             "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  CHECK(cgroup_quota(root.path) == 0);
  root.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
  CHECK(cgroup_quota(root.path) == 4);
}

TEST_CASE("a system without cgroups has no quota") {
  FakeRoot root;
  CHECK(cgroup_quota(root.path) == 0);
}

TEST_CASE("threads are as many as asked for, else as the machine allows") {
  CpuInfo cpu;
  cpu.cpus = 8;
  Options unset, set;
  set.threads = 3;
  CHECK(thread_count(5, set, cpu) == 5);
  CHECK(thread_count(0, set, cpu) == 3);
  CHECK(thread_count(0, unset, cpu) == 8);
  cpu.quota = 1.5;
  CHECK(thread_count(0, unset, cpu) == 2);
  cpu.quota = 0.2;
  CHECK(thread_count(0, unset, cpu) == 1);
  cpu.quota = 100;
  CHECK(thread_count(0, unset, cpu) == 8);
}

TEST_CASE("environment variables become options") {
  Options none = options_with({});
  CHECK(none.threads == 0);
  CHECK(none.isa.empty());
  CHECK(none.cache_dir.empty());
  CHECK_FALSE(none.no_color);

  Options all = options_with({{"LATHE_ISA", "avx2"},
                              {"LATHE_THREADS", "2"},
                              {"OMP_NUM_THREADS", "7"},
                              {"LATHE_VERBOSE", "passes,dispatch"},
                              {"LATHE_CACHE_DIR", "/c"},
                              {"LATHE_LLVM_SO", "/m.so"},
                              {"NO_COLOR", "1"}});
  CHECK(all.isa == "avx2");
  CHECK(all.threads == 2);
  CHECK(all.explains("dispatch"));
  CHECK(all.explains("passes"));
  CHECK_FALSE(all.explains("pass"));
  CHECK(all.cache_dir == "/c");
  CHECK(all.llvm_module == "/m.so");
  CHECK(all.no_color);

  CHECK(options_with({{"OMP_NUM_THREADS", "4,2"}}).threads == 4);
  CHECK(options_with({{"HOME", "/h"}}).cache_dir == "/h/.cache/lathe");
  CHECK(options_with({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}).cache_dir == "/x/lathe");
  CHECK(options_with({{"HOME", "/h"}, {"LATHE_CACHE_DIR", ""}}).cache_dir.empty());
}

TEST_CASE("a thread count that is none is an error naming the variable") {
  for (const char* bad : {"0", "-1", "two", "2x", "99999999999", "4096", ","})
    CHECK(error_of([&] { options_with({{"LATHE_THREADS", bad}}); }) ==
          fmt::format("LATHE_THREADS='{}': expected a number of threads from 1 to 1024", bad));
  CHECK(error_of([] { options_with({{"OMP_NUM_THREADS", "all"}}); }).find("OMP_NUM_THREADS") == 0);
}
