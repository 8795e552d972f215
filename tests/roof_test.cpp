#include "runtime/roof.h"

#include <doctest/doctest.h>

using namespace lathe;

TEST_CASE("the roof of every ISA this CPU has is measured and plausible") {
  ThreadPool pool(2);
  Isa best = detect_cpu().target.isa;
  for (int threads : {1, 2}) {
    for (int i = 0; i <= static_cast<int>(best); ++i) {
      Isa isa = static_cast<Isa>(i);
      Roof roof = measure_roof(pool, threads, isa);
      MESSAGE(name(isa) << ", " << threads << " threads: " << roof.gflops << " GFLOP/s, read "
                        << roof.read_gbs << " GB/s, copy " << roof.copy_gbs << " GB/s");
      CHECK(roof.threads == threads);
      CHECK(roof.gflops > 0.1);
      CHECK(roof.gflops < 1000.0 * threads);
      // Four bytes in the place of a float, and time lost to others.
      const bool dots = isa == Isa::avx512 && detect_cpu().native.vnni;
      CHECK((dots ? roof.byte_gops > roof.gflops : roof.byte_gops == 0));
      const bool pairs = isa == Isa::avx512 && detect_cpu().native.bf16;
      CHECK((pairs ? roof.bf16_gflops > roof.gflops : roof.bf16_gflops == 0));
      CHECK(roof.read_gbs > 0.1);
      CHECK(roof.copy_gbs > 0.1);
    }
  }
}
