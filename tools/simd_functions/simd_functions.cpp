// Writes the functions of passes/math for the xsimd backend: as the instructions that a kernel has
// in their place, by which backends/simd/functions.cpp finds them, and as code of vectors, which
// every ISA's file compiles. The expansions stay the only truth about them. What f32 needs f64 for
// is found as the f64 function that it becomes.
//
// Usage: simd_functions PATTERNS CODE
#include <fmt/format.h>

#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "ir/scalar_eval.h"
#include "passes/kernel_passes.h"

namespace lathe {
namespace {

constexpr size_t kOperands = 2;  // of which a function of one has the first

struct Function {
  std::string name;
  DType type;
  int operands;
  std::vector<Instr> body;  // the first two stand for operands, the last is the result

  const char* element() const { return type == DType::f32 ? "float" : "double"; }
  DType integer() const { return type == DType::f32 ? DType::i32 : DType::i64; }
  const Instr& at(ScalarId id) const { return body[static_cast<size_t>(id)]; }
};

// The function of Vectors (backends/simd/vectors.inl) that an instruction is, if there is one.
std::optional<std::string> code_name(const Function& f, const Instr& in) {
  const DType from = f.at(in.args[in.op == Scalar::Select ? 1 : 0]).type;
  const bool float_of_integer = from == f.integer() && in.type == f.type;
  switch (in.op) {
    case Scalar::Bitcast: return in.type == f.type ? "from_bits" : "bits";
    case Scalar::Cast: return float_of_integer ? std::optional("to_floats") : std::nullopt;
    case Scalar::And: return "both";
    case Scalar::Or: return "either";
    case Scalar::Not: return "inverse";
    case Scalar::Shl:
    case Scalar::Shr: {
      const Instr& count = f.at(in.args[1]);
      const auto bits = static_cast<int64_t>(8 * byte_size(f.type));
      if (count.op != Scalar::Const || count.integer < 0 || count.integer >= bits)
        return std::nullopt;
      break;
    }
    case Scalar::Div:
    case Scalar::Sqrt:
    case Scalar::Fma:
    case Scalar::Abs:
    case Scalar::Neg:
    case Scalar::Floor:
      if (from != f.type) return std::nullopt;
      break;
    case Scalar::Add:
    case Scalar::Sub:
    case Scalar::Mul:
    case Scalar::Lt:
    case Scalar::Le:
    case Scalar::Eq:
    case Scalar::Ne:
    case Scalar::Scale2:
    case Scalar::Select:
      if (from == DType::boolean) return std::nullopt;
      break;
    default: return std::nullopt;
  }
  return std::string(name(in.op));
}

std::optional<std::string> code_line(const Function& f, const Instr& in) {
  if (in.type != f.type && in.type != f.integer() && in.type != DType::boolean) return std::nullopt;
  if (in.op == Scalar::Const) {
    if (in.type == DType::boolean) return std::nullopt;
    return fmt::format("{}({:#x}u)", in.type == f.type ? "number" : "integer",
                       scalar::constant_bits(in.type, in.number, in.integer));
  }
  const std::optional<std::string> function = code_name(f, in);
  if (!function) return std::nullopt;
  std::string line = *function + "(";
  for (int a = 0; a < info(in.op).operands; ++a)
    line += fmt::format("{}v{}", a > 0 ? ", " : "", in.args[static_cast<size_t>(a)]);
  return line + ")";
}

// Empty if some of it has no code.
std::string code(const Function& f) {
  std::string text = fmt::format(
      "struct {0}Function {{\n  static constexpr int arity = {1};\n"
      "  static LATHE_INLINE Batch<{2}> of(Batch<{2}> x, Batch<{2}> y, Batch<{2}>) {{\n"
      "    using V = Vectors<{2}>;\n    [[maybe_unused]] const V::F v0 = x, v1 = y;\n",
      f.name, f.operands, f.element());
  for (size_t i = kOperands; i < f.body.size(); ++i) {
    const auto line = code_line(f, f.body[i]);
    if (!line) return "";
    text += fmt::format("    const auto v{} = V::{};\n", i, *line);
  }
  return text + fmt::format("    return v{};\n  }}\n}};\n", f.body.size() - 1);
}

std::string pattern(const Function& f) {
  std::string text = fmt::format("constexpr PatternInstr k{}Pattern[] = {{\n", f.name);
  for (size_t i = kOperands; i < f.body.size(); ++i) {
    const Instr& in = f.body[i];
    const bool constant = in.op == Scalar::Const;
    text += fmt::format("    {{Scalar{{{}}}, DType{{{}}}, {{{}, {}, {}}}, {:#x}u}},\n",
                        static_cast<int>(in.op), static_cast<int>(in.type), in.args[0], in.args[1],
                        in.args[2],
                        constant ? scalar::constant_bits(in.type, in.number, in.integer) : 0);
  }
  return text + "};\n";
}

Function expanded(Scalar s, DType type, const char* name) {
  Kernel k;
  k.body.resize(kOperands + 1);
  for (Instr& in : k.body) in.op = Scalar::Load, in.type = type;
  k.body.back().op = s;
  k.body.back().args = {0, info(s).operands == 2 ? 1 : -1, -1};
  k.pre = static_cast<int32_t>(k.body.size());
  expand_math(k);
  return {fmt::format("{}{}", name, 8 * byte_size(type)), type, info(s).operands,
          std::move(k.body)};
}

std::vector<Function> functions() {
  std::vector<Function> out;
  for (const DType type : {DType::f32, DType::f64}) {
#define EXPANDED(id, text, operands) out.push_back(expanded(Scalar::id, type, #id));
#include "ir/scalar.def"
  }
  return out;
}

bool write(const char* path, const std::string& text) {
  std::ofstream file(path);
  file << "// Written by tools/simd_functions from passes/math.\n" << text;
  return static_cast<bool>(file.flush());
}

}  // namespace
}  // namespace lathe

int main(int count, char** args) {
  using namespace lathe;
  if (count != 3) return fmt::print(stderr, "usage: simd_functions PATTERNS CODE\n"), 2;
  std::string patterns, codes, pattern_list, cases;
  int found = 0;
  for (const Function& f : functions()) {
    const std::string text = code(f);
    if (text.empty()) continue;
    codes += text;
    patterns += pattern(f);
    pattern_list +=
        fmt::format("    {{k{}Pattern, DType{{{}}}}},\n", f.name, static_cast<int>(f.type));
    cases += fmt::format("    case {}: return batches<{}, {}Function>(uniform);\n", found++,
                         f.element(), f.name);
  }
  patterns += fmt::format("constexpr Pattern kPatterns[] = {{\n{}}};\n", pattern_list);
  codes += fmt::format(
      "TileFn find_function(int function, int uniform) {{\n  switch (function) {{\n{}"
      "    default: return nullptr;\n  }}\n}}\n",
      cases);
  return write(args[1], patterns) && write(args[2], codes) ? 0 : 1;
}
