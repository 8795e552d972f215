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

constexpr std::array<std::string_view, 4> kIsaNames = {"scalar", "sse42", "avx2", "avx512"};

constexpr bool has(uint64_t word, std::initializer_list<int> bits) {
  for (int bit : bits)
    if (!(word >> bit & 1)) return false;
  return true;
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
  bits.leaf1_ecx = cpuid(1).ecx;
  bits.leaf7_ebx = cpuid(7).ebx;
  bits.leaf7_ecx = cpuid(7).ecx;
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
void read_caches(CpuInfo& cpu) {
  bool amd_format = has(cpuid(0x80000001).ecx, {22});
  for (uint32_t subleaf = 0; subleaf < 16; ++subleaf) {
    Registers r = cpuid(amd_format ? 0x8000001D : 4, subleaf);
    uint32_t type = r.eax & 31, level = r.eax >> 5 & 7;
    if (type == 0) break;
    if (type == 2) continue;  // instructions
    int64_t line = (r.ebx & 4095) + 1, partitions = (r.ebx >> 12 & 1023) + 1;
    int64_t bytes = line * partitions * ((r.ebx >> 22) + 1) * (int64_t{r.ecx} + 1);
    if (level == 1) cpu.l1d_bytes = bytes;
    if (level == 2) cpu.l2_bytes = bytes;
    if (level == 3) cpu.l3_bytes = bytes;
  }
}

#else

CpuidBits read_cpuid() { return {}; }
std::string read_name() { return "unknown CPU"; }
void read_caches(CpuInfo&) {}

#endif

int64_t cache_or(int64_t known, int name, int64_t otherwise) {
  if (known > 0) return known;
  int64_t said = sysconf(name);
  return said > 0 ? said : otherwise;
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
  cpu.native = features_from(read_cpuid());
  cpu.features = limit_features(cpu.native, options().isa);
  read_caches(cpu);
  cpu.l1d_bytes = cache_or(cpu.l1d_bytes, _SC_LEVEL1_DCACHE_SIZE, 32 << 10);
  cpu.l2_bytes = cache_or(cpu.l2_bytes, _SC_LEVEL2_CACHE_SIZE, 256 << 10);
  cpu.l3_bytes = cache_or(cpu.l3_bytes, _SC_LEVEL3_CACHE_SIZE, 0);
  cpu.cpus = allowed_cpus();
  cpu.quota = cgroup_quota();
  return cpu;
}

}  // namespace

std::string_view isa_name(Isa isa) { return kIsaNames[static_cast<size_t>(isa)]; }

int vector_bits(Isa isa) { return isa == Isa::scalar ? 32 : 64 << static_cast<int>(isa); }

CpuFeatures features_from(const CpuidBits& bits) {
  CpuFeatures f;
  if (!has(bits.leaf1_ecx, {9, 19, 20, 23})) return f;  // SSSE3, SSE4.1, SSE4.2, POPCNT
  f.isa = Isa::sse42;
  bool saves_ymm = has(bits.xcr0, {1, 2});
  if (!saves_ymm || !has(bits.leaf1_ecx, {12, 27, 28, 29})) return f;  // FMA, OSXSAVE, AVX, F16C
  if (!has(bits.leaf7_ebx, {3, 5, 8})) return f;                       // BMI1, AVX2, BMI2
  f.isa = Isa::avx2;
  bool saves_zmm = has(bits.xcr0, {5, 6, 7});
  if (!saves_zmm || !has(bits.leaf7_ebx, {16, 17, 30, 31})) return f;  // F, DQ, BW, VL
  f.isa = Isa::avx512;
  f.vnni = has(bits.leaf7_ecx, {11});
  f.bf16 = has(bits.leaf7_1_eax, {5});
  return f;
}

CpuFeatures limit_features(const CpuFeatures& native, std::string_view isa) {
  if (isa.empty()) return native;
  std::string allowed;
  for (int i = 1; i <= static_cast<int>(native.isa); ++i) {
    if (isa == kIsaNames[i]) {
      Isa chosen = static_cast<Isa>(i);
      return chosen == native.isa ? native : CpuFeatures{chosen, false, false};
    }
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", kIsaNames[i]);
  }
  bool known = std::find(kIsaNames.begin() + 1, kIsaNames.end(), isa) != kIsaNames.end();
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
