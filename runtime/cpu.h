// What this machine offers: instruction sets, caches, and the CPUs this process may use.
//
// Features come from cpuid and from what the operating system saves (XGETBV), never from the CPU's
// name: virtual machines mask features, and names say nothing about them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "ir/base/target.h"
#include "runtime/options.h"

namespace lathe {

// The registers of cpuid that matter, and XCR0 (0 where the OS does not enable XGETBV).
struct CpuidBits {
  uint32_t leaf1_eax = 0, leaf1_ecx = 0, leaf7_ebx = 0, leaf7_ecx = 0, leaf7_edx = 0,
           leaf7_1_eax = 0;
  uint64_t xcr0 = 0;
};

struct CpuInfo {
  std::string name;  // the CPU's own; for people, no decision rests on it
  Target native;     // what CPU and OS support; L1d and L2 of one core, L3 as shared
  Target target;     // what to use: native, unless LATHE_ISA asks for less
  int cpus = 1;      // logical CPUs the affinity mask allows
  double quota = 0;  // CPUs' worth of time the cgroup grants; 0: no limit
};

// The machine and LATHE_ISA, looked up at the first call. Throws as limit_isa does.
const CpuInfo& detect_cpu();

// ISA and flags; the cache sizes stay at their defaults. Isa::avx2 asks for FMA, F16C, BMI1 and
// BMI2 besides AVX2, Isa::avx512 for F, BW, DQ and VL, and both for the OS saving the registers.
Target target_from(const CpuidBits& bits);

// `native` limited to the ISA called `isa` (empty: no limit). An unknown name, or one above
// `native`, is a user error that names LATHE_ISA, the value and the values that would do.
Target limit_isa(const Target& native, std::string_view isa);

// CPUs' worth of time that cgroups v1 and v2 grant this process and its parents; 0: no limit.
// Reads proc/self/{cgroup,mountinfo} and the mounted hierarchies below `root`.
double cgroup_quota(const std::filesystem::path& root = "/");

// Threads a computation should use: `requested` if positive, else options.threads, else as many as
// affinity and cgroup allow, at least 1.
int thread_count(int requested, const Options& options, const CpuInfo& cpu);
int thread_count(int requested = 0);

}  // namespace lathe
