// CPU time granted by cgroups. Containers limit CPU by quota rather than affinity, so counting CPUs
// alone starts more threads than can run.
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "runtime/cpu.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

bool lists(const std::string& commas, const std::string& word) {
  return ("," + commas + ",").find("," + word + ",") != std::string::npos;
}

// Where the hierarchy that limits CPU time is mounted, and which of its folders is mounted there.
struct Hierarchy {
  fs::path mount;
  std::string mounted_folder;
  bool v2 = false;
};

// A line: `36 35 98:0 /mounted/folder /mount/point options optional... - type source superoptions`
std::vector<Hierarchy> cpu_hierarchies(const fs::path& root) {
  std::vector<Hierarchy> found;
  std::ifstream file(root / "proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    std::string id, parent, device, folder, mount, word, type, source, super;
    std::istringstream words(line);
    words >> id >> parent >> device >> folder >> mount;
    while (words >> word && word != "-") continue;
    words >> type >> source >> super;
    bool v1 = type == "cgroup" && lists(super, "cpu");
    if (v1 || type == "cgroup2")
      found.push_back({root / fs::path(mount).relative_path(), folder, type == "cgroup2"});
  }
  return found;
}

// This process's folder within a hierarchy. A line: `4:cpu,cpuacct:/folder`, for v2 `0::/folder`.
std::string own_folder(const fs::path& root, bool v2) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    if (v2 ? controllers.empty() : lists(controllers, "cpu")) return line.substr(second + 1);
  }
  return "/";
}

// Quota over period in one folder. v2's cpu.max reads `max 100000` or `150000 100000`; v1 has two
// files, and a quota of -1 for none.
double limit_in(const fs::path& folder, bool v2) {
  double quota = -1, period = 0;
  if (v2) {
    std::ifstream(folder / "cpu.max") >> quota >> period;
  } else {
    std::ifstream(folder / "cpu.cfs_quota_us") >> quota;
    std::ifstream(folder / "cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : kNoLimit;
}

double limit_of(const Hierarchy& hierarchy, std::string folder) {
  // Inside a container only a part of the hierarchy is mounted, while the folder is named in full.
  const std::string& mounted = hierarchy.mounted_folder;
  if (mounted != "/" && folder.rfind(mounted, 0) == 0) folder.erase(0, mounted.size());
  fs::path path = fs::path(folder).relative_path();
  double limit = limit_in(hierarchy.mount, hierarchy.v2);
  for (; !path.empty(); path = path.parent_path())
    limit = std::min(limit, limit_in(hierarchy.mount / path, hierarchy.v2));
  return limit;
}

}  // namespace

double cgroup_quota(const fs::path& root) {
  double limit = kNoLimit;
  for (const Hierarchy& hierarchy : cpu_hierarchies(root))
    limit = std::min(limit, limit_of(hierarchy, own_folder(root, hierarchy.v2)));
  return limit == kNoLimit ? 0 : limit;
}

}  // namespace lathe
