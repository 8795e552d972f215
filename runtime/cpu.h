// What this machine offers: instruction sets, caches, and the CPUs this process may use.
//
// Features come from cpuid and from what the operating system saves (XGETBV), never from the CPU's
// name: virtual machines mask features, and names say nothing about them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "runtime/options.h"

namespace lathe {

// Ordered: each includes all before it.
enum class Isa {
  scalar,  // not x86-64, or older than SSE4.2
  sse42,   // 128 bits, no FMA
  avx2,    // 256 bits: AVX2, FMA, F16C, BMI2
  avx512,  // 512 bits: AVX-512 F, BW, DQ, VL
};

std::string_view isa_name(Isa isa);
// Bits of one vector register: 32 (scalar), 128, 256, 512.
int vector_bits(Isa isa);

// The registers of cpuid that matter, and XCR0 (0 where the OS does not enable XGETBV).
struct CpuidBits {
  uint32_t leaf1_ecx = 0, leaf7_ebx = 0, leaf7_ecx = 0, leaf7_1_eax = 0;
  uint64_t xcr0 = 0;
};

struct CpuFeatures {
  Isa isa = Isa::scalar;
  bool bf16 = false;  // AVX512_BF16: dot products of bf16 pairs
  bool vnni = false;  // AVX512_VNNI: dot products of 8-bit integers
};

struct CpuInfo {
  std::string name;                     // the CPU's own; for people, no decision rests on it
  CpuFeatures native;                   // what CPU and OS support
  CpuFeatures features;                 // what to use: native, unless LATHE_ISA asks for less
  int64_t l1d_bytes = 0, l2_bytes = 0;  // of one core; never 0
  int64_t l3_bytes = 0;                 // shared by some cores; 0: none or unknown
  int cpus = 1;                         // logical CPUs the affinity mask allows
  double quota = 0;                     // CPUs' worth of time the cgroup grants; 0: no limit
};

// The machine and LATHE_ISA, looked up at the first call. Throws as limit_features does.
const CpuInfo& detect_cpu();

CpuFeatures features_from(const CpuidBits& bits);

// `native` limited to the ISA called `isa` (empty: no limit). An unknown name, or one above
// `native`, is a user error that names LATHE_ISA, the value and the values that would do.
CpuFeatures limit_features(const CpuFeatures& native, std::string_view isa);

// CPUs' worth of time that cgroups v1 and v2 grant this process and its parents; 0: no limit.
// Reads proc/self/{cgroup,mountinfo} and the mounted hierarchies below `root`.
double cgroup_quota(const std::filesystem::path& root = "/");

// Threads a computation should use: `requested` if positive, else options.threads, else as many as
// affinity and cgroup allow, at least 1.
int thread_count(int requested, const Options& options, const CpuInfo& cpu);
int thread_count(int requested = 0);

}  // namespace lathe
