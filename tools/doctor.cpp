// lathe version, lathe doctor: what was built, and what it finds on this machine.
#include <nlohmann/json.hpp>

#include "backends/llvm_module.h"
#include "runtime/cpu.h"
#include "runtime/roof.h"
#include "tools/cli.h"

namespace lathe::tools {
namespace {

using nlohmann::ordered_json;

// The version of LLVM; where its module cannot be opened, the reason.
std::string llvm_state() {
  if (!LATHE_HAS_LLVM) return "not built (LATHE_LLVM=OFF)";
  const Result<LlvmBackend*> llvm = LlvmBackend::open();
  return llvm ? std::string((*llvm)->llvm_version()) : llvm.error();
}

ordered_json roof_json(ThreadPool& pool, int threads, Isa isa) {
  const Roof r = measure_roof(pool, threads, isa);
  return {{"threads", r.threads},         {"gflops", r.gflops},     {"byte_gops", r.byte_gops},
          {"bf16_gflops", r.bf16_gflops}, {"read_gbs", r.read_gbs}, {"copy_gbs", r.copy_gbs}};
}

ordered_json diagnose() {
  const CpuInfo& cpu = detect_cpu();
  const int threads = thread_count();
  ThreadPool pool(threads);
  ordered_json roofs = ordered_json::array({roof_json(pool, 1, cpu.target.isa)});
  if (threads > 1) roofs.push_back(roof_json(pool, threads, cpu.target.isa));
  return {{"version", LATHE_VERSION},
          {"build", LATHE_BUILD_TYPE},
          {"compiler", __VERSION__},
          {"llvm", llvm_state()},
          {"cpu", cpu.name},
          {"isa", name(cpu.target.isa)},
          {"native_isa", name(cpu.native.isa)},
          {"bf16", cpu.target.bf16},
          {"vnni", cpu.target.vnni},
          {"cpus", cpu.cpus},
          {"cgroup_quota", cpu.quota},
          {"threads", threads},
          {"l1_bytes", cpu.target.l1_bytes},
          {"l2_bytes", cpu.target.l2_bytes},
          {"l3_bytes", cpu.target.l3_bytes},
          {"cache_dir", options().cache_dir},
          {"roof", roofs}};
}

void print_diagnosis(const ordered_json& d) {
  const auto text = [&](const char* key) { return d[key].get<std::string>(); };
  const auto kib = [&](const char* key) { return d[key].get<int64_t>() / 1024; };
  fmt::print("version    {}, {} build, compiled with {}\n", text("version"), text("build"),
             text("compiler"));
  fmt::print("llvm       {}\n", text("llvm"));
  fmt::print("cpu        {}\n", text("cpu"));
  fmt::print("isa        {} (the machine has {})\n", text("isa"), text("native_isa"));
  fmt::print("caches     L1d {} KiB, L2 {} KiB, L3 {} KiB\n", kib("l1_bytes"), kib("l2_bytes"),
             kib("l3_bytes"));
  const double quota = d["cgroup_quota"].get<double>();
  fmt::print("threads    {} ({} CPUs allowed, cgroup quota {})\n", d["threads"].get<int>(),
             d["cpus"].get<int>(), quota > 0 ? fmt::format("{:.1f}", quota) : "none");
  fmt::print("objects    {}\n", text("cache_dir").empty() ? "not kept on disk" : text("cache_dir"));
  for (const ordered_json& r : d["roof"]) {
    const auto bytes = r["byte_gops"].get<double>();  // 0 where the CPU has no instruction for it
    const auto pairs = r["bf16_gflops"].get<double>();
    fmt::print(
        "roof       {} thread{}: {:.1f} GFLOP/s, {}{}reading {:.1f} GB/s, copying {:.1f} GB/s\n",
        r["threads"].get<int>(), r["threads"].get<int>() == 1 ? "" : "s", r["gflops"].get<double>(),
        pairs > 0 ? fmt::format("{:.1f} GFLOP/s of bf16, ", pairs) : "",
        bytes > 0 ? fmt::format("{:.1f} Gop/s of bytes, ", bytes) : "", r["read_gbs"].get<double>(),
        r["copy_gbs"].get<double>());
  }
}

Action setup_doctor(OptionList& options) {
  const auto json = std::make_shared<bool>(false);
  options.flag("--json", *json, "One JSON object");
  return [json] {
    const ordered_json d = diagnose();
    if (*json) fmt::print("{}\n", d.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    else print_diagnosis(d);
    return kDone;
  };
}

Action setup_version(OptionList& options) {
  const auto json = std::make_shared<bool>(false);
  options.flag("--json", *json, "One JSON object");
  return [json] {
    if (*json)
      fmt::print("{}\n", ordered_json{{"version", LATHE_VERSION},
                                      {"build", LATHE_BUILD_TYPE},
                                      {"llvm", LATHE_HAS_LLVM != 0}}
                             .dump());
    else
      fmt::print("lathe {} ({} build, {} LLVM)\n", LATHE_VERSION, LATHE_BUILD_TYPE,
                 LATHE_HAS_LLVM ? "with" : "without");
    return kDone;
  };
}

}  // namespace

const Verb kVersion = {"version", "The version and what it was built with", "lathe version --json",
                       setup_version};
const Verb kDoctor = {"doctor", "What this machine offers, and what Lathe makes of it",
                      "lathe doctor", setup_doctor};

}  // namespace lathe::tools
