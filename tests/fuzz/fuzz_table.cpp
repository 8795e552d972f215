// Tables of texts and labels.
#include "runtime/data/table.h"
#include "tests/fuzz/fuzz.h"

namespace lathe {

void fuzz_input(std::string_view bytes) {
  for (const char* path : {"fuzz.tsv", "fuzz.csv"})
    holds([&] { (void)data::parse_table(path, bytes); });
}

}  // namespace lathe
