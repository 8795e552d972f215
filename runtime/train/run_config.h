// The text forms of a run's configuration and history.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/train/run_folder.h"

namespace lathe::train {

std::string print_config(const RunConfig& config);
// `place` opens every message: the file's path.
RunConfig parse_config(std::string_view text, const std::string& place);

std::string print_history(const std::vector<EpochRecord>& history);
// Epochs count from 1 without a gap.
std::vector<EpochRecord> parse_history(std::string_view text, const std::string& place);

}  // namespace lathe::train
