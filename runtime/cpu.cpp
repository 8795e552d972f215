#include "runtime/cpu.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "ir/base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace lathe {
namespace {

// What LATHE_ISA may say.
constexpr std::array<Isa, 3> kVectorIsas = {Isa::sse42, Isa::avx2, Isa::avx512};

constexpr bool has(uint64_t word, std::initializer_list<int> bits) {
  for (int bit : bits)
    if (!(word >> bit & 1)) return false;
  return true;
}

// 6: Intel's. AMD's count from 15: 23 and 25 are Zen to Zen 4.
constexpr uint32_t family(const CpuidBits& bits) {
  const uint32_t base = bits.leaf1_eax >> 8 & 15;
  return base < 15 ? base : base + (bits.leaf1_eax >> 20 & 255);
}

#if defined(__x86_64__)

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf = 0) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);  // zeros where unsupported
  return r;
}

// Inline assembly, because the intrinsic would need this whole file compiled with -mxsave.
uint64_t read_xcr0() {
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

CpuidBits read_cpuid() {
  CpuidBits bits;
  bits.leaf1_eax = cpuid(1).eax;
  bits.leaf1_ecx = cpuid(1).ecx;
  bits.leaf7_ebx = cpuid(7).ebx;
  bits.leaf7_ecx = cpuid(7).ecx;
  bits.leaf7_edx = cpuid(7).edx;
  if (cpuid(7).eax >= 1) bits.leaf7_1_eax = cpuid(7, 1).eax;
  if (has(bits.leaf1_ecx, {27})) bits.xcr0 = read_xcr0();  // OSXSAVE
  return bits;
}

std::string read_name() {
  std::string name;
  for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    Registers r = cpuid(leaf);
    name.append(reinterpret_cast<const char*>(&r), sizeof r);
  }
  name.resize(std::strlen(name.c_str()));
  while (!name.empty() && name.back() == ' ') name.pop_back();
  return name.substr(std::min(name.find_first_not_of(' '), name.size()));
}

// Leaf 4 (Intel) and leaf 0x8000001D (AMD with topology extensions) share one format: a subleaf a
// cache, until one of type 0.
void read_caches(Target& target) {
  bool amd_format = has(cpuid(0x80000001).ecx, {22});
  for (uint32_t subleaf = 0; subleaf < 16; ++subleaf) {
    Registers r = cpuid(amd_format ? 0x8000001D : 4, subleaf);
    uint32_t type = r.eax & 31, level = r.eax >> 5 & 7;
    if (type == 0) break;
    if (type == 2) continue;  // instructions
    int64_t line = (r.ebx & 4095) + 1, partitions = (r.ebx >> 12 & 1023) + 1;
    int64_t bytes = line * partitions * ((r.ebx >> 22) + 1) * (int64_t{r.ecx} + 1);
    if (level == 1) target.l1_bytes = bytes;
    if (level == 2) target.l2_bytes = bytes;
    if (level == 3) target.l3_bytes = bytes;
  }
}

#else

CpuidBits read_cpuid() { return {}; }
std::string read_name() { return "unknown CPU"; }
void read_caches(Target&) {}

#endif

// For CPUs whose cpuid keeps silent about caches; where the system does too, the defaults stay.
void ask_system_for_caches(Target& target) {
  auto ask = [](int name, int64_t& bytes) {
    if (int64_t said = sysconf(name); said > 0) bytes = said;
  };
  ask(_SC_LEVEL1_DCACHE_SIZE, target.l1_bytes);
  ask(_SC_LEVEL2_CACHE_SIZE, target.l2_bytes);
  ask(_SC_LEVEL3_CACHE_SIZE, target.l3_bytes);
}

int allowed_cpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  // More than 1024 CPUs do not fit the set.
  return std::max<int>(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
}

CpuInfo read_machine() {
  CpuInfo cpu;
  cpu.name = read_name();
  cpu.native = target_from(read_cpuid());
  ask_system_for_caches(cpu.native);
  read_caches(cpu.native);
  cpu.target = limit_isa(cpu.native, options().isa);
  cpu.cpus = allowed_cpus();
  cpu.quota = cgroup_quota();
  return cpu;
}

}  // namespace

Target target_from(const CpuidBits& bits) {
  Target t;
  if (!has(bits.leaf1_ecx, {9, 19, 20, 23})) return t;  // SSSE3, SSE4.1, SSE4.2, POPCNT
  t.isa = Isa::sse42;
  bool saves_ymm = has(bits.xcr0, {1, 2});
  if (!saves_ymm || !has(bits.leaf1_ecx, {12, 27, 28, 29})) return t;  // FMA, OSXSAVE, AVX, F16C
  if (!has(bits.leaf7_ebx, {3, 5, 8})) return t;                       // BMI1, AVX2, BMI2
  t.isa = Isa::avx2;
  bool saves_zmm = has(bits.xcr0, {5, 6, 7});
  if (!saves_zmm || !has(bits.leaf7_ebx, {16, 17, 30, 31})) return t;  // F, DQ, BW, VL
  t.isa = Isa::avx512;
  t.vnni = has(bits.leaf7_ecx, {11});
  t.bf16 = has(bits.leaf7_1_eax, {5});
  constexpr uint32_t kZen5 = 26;
  t.two_fma512 = family(bits) >= kZen5 || has(bits.leaf7_edx, {24});  // AMX-TILE
  return t;
}

Target limit_isa(const Target& native, std::string_view isa) {
  if (isa.empty()) return native;
  std::string allowed;
  bool known = false;
  for (Isa candidate : kVectorIsas) {
    bool chosen = isa == name(candidate);
    known |= chosen;
    if (candidate > native.isa) continue;
    if (chosen) {
      Target limited = native;
      limited.isa = candidate;
      limited.vnni &= candidate == Isa::avx512;
      limited.bf16 &= candidate == Isa::avx512;
      limited.two_fma512 &= candidate == Isa::avx512;
      return limited;
    }
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", name(candidate));
  }
  fail("LATHE_ISA='{}': {}; allowed here: {}", isa,
       known ? "this CPU or its operating system does not support it" : "no such instruction set",
       allowed.empty() ? "none (leave it unset)" : allowed);
}

const CpuInfo& detect_cpu() {
  static const CpuInfo cpu = read_machine();
  return cpu;
}

int thread_count(int requested, const Options& options, const CpuInfo& cpu) {
  if (requested > 0) return requested;
  if (options.threads > 0) return options.threads;
  if (cpu.quota <= 0) return cpu.cpus;
  // A quota of 1.5 CPUs keeps two threads busy three quarters of the time; one would waste a third.
  return std::clamp(static_cast<int>(std::ceil(cpu.quota)), 1, cpu.cpus);
}

int thread_count(int requested) { return thread_count(requested, options(), detect_cpu()); }

}  // namespace lathe
