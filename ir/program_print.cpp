#include <fmt/format.h>

#include "ir/kernel_text.h"
#include "ir/program.h"

namespace lathe {
namespace {

std::string_view kind_name(BufferKind kind) {
  switch (kind) {
    case BufferKind::Input: return "input";
    case BufferKind::Output: return "output";
    case BufferKind::Constant: return "constant";
    case BufferKind::Arena: return "arena";
    case BufferKind::Local: return "local";
  }
  __builtin_unreachable();
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

// b3, b3+128, b3+64*l0, b3+64*(l0&1)
std::string ref_text(const BufferRef& ref) {
  std::string out = fmt::format("b{}", ref.buffer);
  if (ref.offset != 0) out += fmt::format("{:+}", ref.offset);
  for (const LoopTerm& t : ref.terms)
    out += t.parity ? fmt::format("{:+}*(l{}&1)", t.stride, t.loop)
                    : fmt::format("{:+}*l{}", t.stride, t.loop);
  return out;
}

class Printer {
 public:
  explicit Printer(const Program& p) : program_(p) {}

  std::string text() {
    line("program {} {{", quoted(program_.name));
    depth_ = 1;
    line("arena {} bytes", program_.plan.arena_bytes);
    if (program_.plan.local_bytes > 0) line("local {} bytes", program_.plan.local_bytes);
    buffers();
    ports("in", program_.plan.inputs);
    ports("out", program_.plan.outputs);
    steps(program_.plan.steps);
    depth_ = 0;
    line("}}");
    for (size_t i = 0; i < program_.kernels.size(); ++i) {
      const Kernel& k = program_.kernels[i];
      out_ += fmt::format("\n// k{}: {}\n// {}\n{}", i, k.label,
                          print_schedule(program_.schedules[i]), print_kernel(k));
    }
    return std::move(out_);
  }

 private:
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    out_.append(static_cast<size_t>(2 * depth_), ' ');
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }

  void buffers() {
    for (size_t i = 0; i < program_.plan.buffers.size(); ++i) {
      const Buffer& b = program_.plan.buffers[i];
      const std::string where = b.kind == BufferKind::Arena || b.kind == BufferKind::Local
                                    ? fmt::format("at {}", b.offset)
                                    : fmt::format("{}", b.index);
      line("buffer b{} {} {} {} bytes {}", i, kind_name(b.kind), where, b.bytes, quoted(b.name));
    }
  }

  void ports(std::string_view direction, const std::vector<Port>& ports) {
    for (const Port& p : ports) {
      const std::string updates =
          p.updates < 0
              ? ""
              : " updates " + quoted(program_.plan.inputs[static_cast<size_t>(p.updates)].name);
      line("{} {} {}[{}] b{}{}", direction, quoted(p.name), name(p.dtype), Shape(p.dims).text(),
           p.buffer, updates);
    }
  }

  void steps(const std::vector<Step>& list) {
    for (const Step& s : list) step(s);
  }

  void block(const std::vector<Step>& list) {
    ++depth_;
    steps(list);
    --depth_;
  }

  void step(const Step& s) {
    switch (s.kind) {
      case StepKind::Call: {
        std::string args;
        for (const BufferRef& r : s.args) args += (args.empty() ? "" : ", ") + ref_text(r);
        line("{}k{}({})", s.joins ? "and " : "", s.kernel, args);
        return;
      }
      case StepKind::Copy:
        line("copy {} bytes {} -> {}", s.bytes, ref_text(s.args[0]), ref_text(s.args[1]));
        return;
      case StepKind::Sort:
        line("argsort {}[{},{}] first {}{} {} -> {}", name(s.sort.dtype), s.sort.lanes,
             s.sort.length, s.sort.count, s.sort.descending ? " descending" : "",
             ref_text(s.args[0]), ref_text(s.args[1]));
        return;
      case StepKind::Loop:
        line("{}loop l{} < {} {{", s.independent ? "independent " : "", s.loop, s.count);
        block(s.body);
        break;
      case StepKind::While:
        line("while l{} {{", s.loop);
        block(s.other);
        line("}} {} {{", ref_text(s.args[0]));
        block(s.body);
        break;
      case StepKind::If:
        line("if {} {{", ref_text(s.args[0]));
        block(s.body);
        line("}} else {{");
        block(s.other);
        break;
    }
    line("}}");
  }

  const Program& program_;
  std::string out_;
  int depth_ = 0;
};

}  // namespace

std::string print_program(const Program& p) { return Printer(p).text(); }

}  // namespace lathe
