#include "backends/library_driver.h"

#include <fmt/format.h>

#include <functional>
#include <iterator>

#include "runtime/artifact/argsort.h"

namespace lathe {
namespace {

std::string_view c_type(DType t) {
  switch (t) {
    case DType::f64: return "double";
    case DType::f32: return "float";
    case DType::f16:
    case DType::bf16:
    case DType::u16: return "uint16_t";
    case DType::i64: return "int64_t";
    case DType::i32: return "int32_t";
    case DType::i16: return "int16_t";
    case DType::i8: return "int8_t";
    case DType::u64: return "uint64_t";
    case DType::u32: return "uint32_t";
    case DType::u8: return "uint8_t";
    case DType::boolean: return "_Bool";
  }
  __builtin_unreachable();
}

// Writes the steps of a plan as C statements.
class DriverWriter {
 public:
  DriverWriter(const Program& p, const LibraryOptions& options)
      : program_(p), options_(options), constants_(constant_offsets(p.plan)) {}

  std::string body() {
    steps(program_.plan.steps, 1);
    return std::move(out_);
  }

 private:
  void line(int depth, const std::string& text) {
    out_.append(static_cast<size_t>(2 * depth), ' ').append(text).append("\n");
  }

  std::string base(const Buffer& b) const {
    switch (b.kind) {
      case BufferKind::Input: return fmt::format("(char*)in{}", b.index);
      case BufferKind::Output: return fmt::format("(char*)out{}", b.index);
      case BufferKind::Constant:
        return fmt::format("(char*){}_weights + {}", options_.name,
                           constants_[static_cast<size_t>(b.index)]);
      case BufferKind::Arena: return fmt::format("arena + {}", b.offset);
      case BufferKind::Local:  // of the one thread, behind the arena
        return fmt::format("arena + {}", program_.plan.arena_bytes + b.offset);
    }
    __builtin_unreachable();
  }

  std::string address(const BufferRef& r) const {
    std::string text = base(program_.plan.buffers[static_cast<size_t>(r.buffer)]);
    if (r.offset != 0) text += fmt::format(" + {}", r.offset);
    for (const LoopTerm& t : r.terms)
      text += t.parity ? fmt::format(" + (i{} & 1) * INT64_C({})", t.loop, t.stride)
                       : fmt::format(" + i{} * INT64_C({})", t.loop, t.stride);
    return text;
  }

  void call(const Step& s, int depth) {
    std::string args;
    for (const BufferRef& r : s.args) args += (args.empty() ? "" : ", ") + address(r);
    const KernelSchedule& schedule = program_.schedules[static_cast<size_t>(s.kernel)];
    const Kernel& k = program_.kernel_of(s);
    const int64_t extent =
        schedule.parallel >= 0 ? k.par[static_cast<size_t>(schedule.parallel)] : 1;
    line(depth, fmt::format("{{ void* const a[] = {{{}}};", args));
    line(depth, fmt::format("  {}(a, 0, {}, 0); }}", kernel_symbol(options_, s.kernel), extent));
  }

  void steps(const std::vector<Step>& all, int depth) {
    for (const Step& s : all) {
      switch (s.kind) {
        case StepKind::Call: call(s, depth); break;
        case StepKind::Copy:
          line(depth,
               fmt::format("memcpy({}, {}, {});", address(s.args[1]), address(s.args[0]), s.bytes));
          break;
        case StepKind::Sort:
          line(depth,
               fmt::format("{}({}, (int64_t*)({}), {}, {}, {}, {});",
                           argsort_of(s.sort.dtype).symbol, address(s.args[0]), address(s.args[1]),
                           s.sort.lanes, s.sort.length, s.sort.count, s.sort.descending ? 1 : 0));
          break;
        case StepKind::Loop:
          line(depth, fmt::format("for (i{0} = 0; i{0} < {1}; ++i{0}) {{", s.loop, s.count));
          steps(s.body, depth + 1);
          line(depth, "}");
          break;
        case StepKind::While:
          line(depth, fmt::format("for (i{0} = 0;; ++i{0}) {{", s.loop));
          steps(s.other, depth + 1);
          line(depth + 1, fmt::format("if (!*(const _Bool*)({})) break;", address(s.args[0])));
          steps(s.body, depth + 1);
          line(depth, "}");
          break;
        case StepKind::If:
          line(depth, fmt::format("if (*(const _Bool*)({})) {{", address(s.args[0])));
          steps(s.body, depth + 1);
          line(depth, "} else {");
          steps(s.other, depth + 1);
          line(depth, "}");
          break;
      }
    }
  }

  const Program& program_;
  const LibraryOptions& options_;
  std::vector<int64_t> constants_;
  std::string out_;
};

// A C string literal of any bytes.
std::string c_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') out += "\\n\"\n\"";
    else if (c == '"' || c == '\\') out += std::string("\\") + c;
    else if (byte < 32 || byte > 126) out += fmt::format("\\{:03o}", byte);
    else out += c;
  }
  return out + "\"";
}

std::string text_source(const Program& p, const LibraryOptions& o) {
  const TextFrontEnd& t = *o.text;
  std::string words;
  for (const std::string& w : t.words) words += w + "\n";
  return fmt::format(R"(
const void* lathe_text_vocabulary(const char*, size_t);
int lathe_text_encode(const void*, const char*, int32_t*, int64_t, int, int);
static const char words[] = {2};
static const void* vocabulary;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void load(void) {{ vocabulary = lathe_text_vocabulary(words, sizeof words - 1); }}

API int {0}_predict(const char* text, {6}* result) {{
  int32_t tokens[{1}];
  pthread_once(&once, load);
  if (!vocabulary || lathe_text_encode(vocabulary, text, tokens, {1}, {3}, {4})) return -1;
  return {5}_run(tokens, result, 0);
}}
)",
                     o.name, t.length, c_string(words), t.pad_after ? 1 : 0, t.cut_after ? 1 : 0,
                     o.name, c_type(p.plan.outputs[0].dtype));
}

}  // namespace

std::vector<int64_t> constant_offsets(const Plan& plan) {
  std::vector<int64_t> offsets;
  int64_t at = 0;
  for (const Tensor& t : plan.constants) {
    offsets.push_back(at);
    at += (t.bytes() + 63) / 64 * 64;
  }
  return offsets;
}

std::string kernel_symbol(const LibraryOptions& options, int kernel) {
  return fmt::format("{}_kernel{}", options.name, kernel);
}

std::string run_prototype(const Program& p, const LibraryOptions& options) {
  std::string args;
  for (size_t i = 0; i < p.plan.inputs.size(); ++i)
    args += fmt::format("const {}* in{}, ", c_type(p.plan.inputs[i].dtype), i);
  for (size_t i = 0; i < p.plan.outputs.size(); ++i)
    args += fmt::format("{}* out{}, ", c_type(p.plan.outputs[i].dtype), i);
  return fmt::format("int {}_run({}void* workspace)", options.name, args);
}

std::set<std::string> sort_functions(const Plan& plan) {
  std::set<std::string> out;
  const std::function<void(const std::vector<Step>&)> visit = [&](const std::vector<Step>& steps) {
    for (const Step& s : steps) {
      if (s.kind == StepKind::Sort) out.insert(argsort_of(s.sort.dtype).symbol);
      visit(s.body);
      visit(s.other);
    }
  };
  visit(plan.steps);
  return out;
}

std::string driver_source(const Program& p, const LibraryOptions& options,
                          const std::string& weights) {
  std::string out =
      "#include <pthread.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <stdlib.h>\n"
      "#include <string.h>\n"
      "#define API __attribute__((visibility(\"default\")))\n";
  for (int k = 0; k < std::ssize(p.kernels); ++k)
    out += fmt::format("void {}(void* const*, int64_t, int64_t, const void*);\n",
                       kernel_symbol(options, k));
  for (const std::string& function : sort_functions(p.plan))
    out +=
        fmt::format("void {}(const void*, int64_t*, int64_t, int64_t, int64_t, int);\n", function);
  if (!p.plan.constants.empty())
    out += fmt::format(
        "__asm__(\".section .rodata.weights,\\\"a\\\",@progbits\\n.balign 64\\n\"\n"
        "        \"{0}_weights:\\n.incbin {1}\\n.text\\n\");\n"
        "__attribute__((visibility(\"hidden\"))) extern const char {0}_weights[];\n",
        options.name, "\\\"" + weights + "\\\"");
  out += fmt::format("API size_t {}_workspace_bytes(void) {{ return {}; }}\n", options.name,
                     temporary_bytes(p.plan, 1));
  out += "API " + run_prototype(p, options) + " {\n";
  for (int i = 0; i < p.plan.loops; ++i) out += fmt::format("  int64_t i{} = 0;\n", i);
  for (int i = 0; i < p.plan.loops; ++i) out += fmt::format("  (void)i{};\n", i);
  out += fmt::format("  char* const arena = workspace ? workspace : aligned_alloc(64, {});\n",
                     (temporary_bytes(p.plan, 1) + 64) / 64 * 64);
  out += "  if (!arena) return -1;\n";
  out += DriverWriter(p, options).body();
  out += "  if (!workspace) free(arena);\n  return 0;\n}\n";
  if (options.text) out += text_source(p, options);
  return out;
}

std::string library_header(const Program& p, const LibraryOptions& options) {
  const auto ports = [&](const std::vector<Port>& list, std::string_view prefix) {
    std::string out;
    for (size_t i = 0; i < list.size(); ++i)
      out += fmt::format("     {}{}: '{}', {}[{}], row-major\n", prefix, i, list[i].name,
                         name(list[i].dtype), Shape(list[i].dims).text());
    return out;
  };
  std::string text;
  if (options.text)
    text = fmt::format(R"(
/* The model's answer to a UTF-8 text, {} element(s). Returns 0, or -1 out of memory. Thread-safe. */
int {}_predict(const char* text, {}* result);
)",
                       element_count(p.plan.outputs[0].dims), options.name,
                       c_type(p.plan.outputs[0].dtype));
  std::string guard = options.name + "_H";
  for (char& c : guard) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return fmt::format(R"(/* {0} */
#ifndef {1}
#define {1}
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {{
#endif

/* Evaluates the model. Thread-safe.
{2}{3}     workspace: NULL, or {4}_workspace_bytes() bytes aligned to 64, not shared between
     concurrent calls.
   Returns 0, or -1 out of memory. */
{5};
size_t {4}_workspace_bytes(void);
{6}
#ifdef __cplusplus
}}
#endif
#endif
)",
                     options.comment, guard, ports(p.plan.inputs, "in"),
                     ports(p.plan.outputs, "out"), options.name, run_prototype(p, options), text);
}

}  // namespace lathe
