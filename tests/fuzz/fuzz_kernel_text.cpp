// Kernels as text: what parses and verifies prints, and parses to the same again.
#include "ir/kernel_text.h"
#include "ir/kernel_verify.h"
#include "tests/fuzz/fuzz.h"

namespace lathe {

void fuzz_input(std::string_view bytes) {
  holds([&] {
    const Result<Kernel> kernel = parse_kernel(bytes);
    if (!kernel || !verify_kernel(*kernel, KernelStage::Lowered)) return;
    const std::string text = print_kernel(*kernel);
    const Result<Kernel> again = parse_kernel(text);
    if (!again) found("printed, but does not parse: " + again.error());
    if (print_kernel(*again) != text) found("parses to another kernel than was printed:\n" + text);
  });
  holds([&] { (void)parse_schedule(bytes); });
}

}  // namespace lathe
