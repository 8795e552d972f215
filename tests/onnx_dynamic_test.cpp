// Free dims: one session, any batch and length, memory that stays flat.
#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/onnx_node.h"
#include "tests/support/random.h"

namespace lathe::onnx {
namespace {

int64_t resident_bytes() {
  int64_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// y = softmax(x w): temporaries of n * 512 floats.
std::shared_ptr<const ModelDef> dynamic_model() {
  GraphBuilder g;
  g.input("x", ElemType::Float, {-1, 16}).output("y");
  g.initializer(
      tensor_message<float>("w", ElemType::Float, {16, 512}, std::vector<float>(16 * 512, 0.01F)));
  g.node(node_message("MatMul", {"x", "w"}, {"m"}));
  g.node(node_message("Softmax", {"m"}, {"s"}, {int_attribute("axis", -1)}));
  g.node(node_message("ReduceSum", {"s"}, {"y"}, {int_attribute("keepdims", 0)}));
  return parse(model_message(g.m, 22));
}

TEST_CASE("200 bindings of a free dim leave memory flat, and each is compiled once") {
  Session session(dynamic_model(), simd());
  Random random(3);
  const auto run = [&](int64_t n) {
    const std::vector<Value> out =
        session.run({{"x", floats({n, 16}, std::vector<float>(static_cast<size_t>(n * 16), 1))}});
    CHECK(numbers(out[0])[0] == doctest::Approx(static_cast<double>(n)).epsilon(1e-4));
  };
  std::vector<int64_t> sizes;
  for (int i = 0; i < 200; ++i) sizes.push_back(1 + random.below(4000));
  run(4000);  // the largest arena there will be: 8 MB
  for (int i = 0; i < 50; ++i) run(sizes[static_cast<size_t>(i)]);
  const int64_t before = resident_bytes();
  for (const int64_t n : sizes) run(n);
  const int64_t grown = resident_bytes() - before;
  CHECK_MESSAGE(grown < int64_t{24} << 20, "grown by " << grown << " bytes");
  const int64_t compiled = session.counts().compiled;
  for (const int64_t n : sizes) run(n);
  CHECK(session.counts().compiled == compiled);
}

}  // namespace
}  // namespace lathe::onnx
