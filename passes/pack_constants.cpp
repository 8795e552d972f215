#include "passes/pack_constants.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <tuple>

#include "ir/base/gather.h"
#include "ir/byte_product.h"
#include "ir/kernel_text.h"
#include "ir/pair_product.h"
#include "passes/kernel_passes.h"
#include "passes/program_use.h"

namespace lathe {
namespace {

// Columns of a panel: what a register tile covers, with vectors of AVX-512; else half of them. Few
// rows take wider tiles to have as many sums in flight as multiply-adds take to finish.
constexpr int64_t kPanel = 32, kWidePanel = 64;
constexpr int64_t kFewRows = 2;
// Bytes of a factor below which its rows are as near as panels would be.
constexpr int64_t kNear = 16 << 10;

// The constant factor of a product, and how the kernel walks it.
struct Factor {
  ScalarId load = -1;
  int32_t operand = -1;
  SymbolId n = -1;              // the parallel iv of its columns
  std::vector<SymbolId> outer;  // the other parallel ivs that it varies in
  int64_t rows = 1;             // points of the parallel space that share a column
  int64_t width = kPanel;
  int64_t group = 1;   // steps of the last reduction iv that lie side by side
  int64_t paired = 0;  // steps of the last two reduction ivs, where the last is the two of a pair
};

// Columns [first, first + count) of a product, in panels as wide as `width` or in one.
struct Part {
  int64_t first, count, width;
  bool panels() const { return count > width; }
};

int64_t extent(const Kernel& k, SymbolId iv) {
  const auto pars = static_cast<SymbolId>(k.par.size());
  return iv < pars ? k.par[static_cast<size_t>(iv)] : k.red[static_cast<size_t>(iv - pars)];
}

bool is_sequential_product(const Kernel& k, const KernelSchedule& s) {
  return k.core == Core::Reduce && k.order == Order::Sequential && k.reductions.size() == 1 &&
         is_fma(k.reductions[0].combine) && is_float(k.reductions[0].type) && k.steps() > 0 &&
         s.vector >= 0 && s.vector < std::ssize(k.par);
}

bool is_plain(const Kernel& k, const Instr& load) {
  if (load.op != Scalar::Load || !load.guards.empty() || !load.access.indirect.empty())
    return false;
  return std::ranges::all_of(load.access.offset.terms, [&](const IndexTerm& t) {
    return t.symbol < k.derived_symbol(0) && t.coefficient > 0;
  });
}

// Whether nothing but `load` that is evaluated at every step, and no derived symbol, depends on n,
// and nothing but `reader` reads it.
bool only_there(const Kernel& k, ScalarId load, ScalarId reader, SymbolId n) {
  for (const DerivedSymbol& d : k.derived)
    if (d.numerator.coefficient(n) != 0) return false;
  for (const Guard& g : k.guards)
    if (g.index.coefficient(n) != 0) return false;
  const int32_t operand = k.body[static_cast<size_t>(load)].access.operand;
  for (ScalarId i = 0; i < std::ssize(k.body); ++i) {
    const Instr& in = k.body[static_cast<size_t>(i)];
    if (i == load) continue;
    if (in.op == Scalar::Load && in.access.operand == operand) return false;
    if (i < k.pre && (in.access.offset.coefficient(n) != 0 || in.index.coefficient(n) != 0))
      return false;
    if (i != reader && std::ranges::find(in.args, load) != in.args.end()) return false;
  }
  return true;
}

// How a kernel walks a literal; nothing where it reads elements several times, as windows do, which
// would be written out.
std::optional<Factor> walked(const Kernel& k, SymbolId n, ScalarId load, int64_t paired = 0) {
  const Instr& in = k.body[static_cast<size_t>(load)];
  Factor f;
  f.load = load, f.operand = in.access.operand, f.n = n, f.paired = paired;
  int64_t elements = extent(k, n) * k.steps();
  if (paired > 0) elements = elements / (paired + paired % 2) * paired;
  for (SymbolId i = 0; i < std::ssize(k.par); ++i) {
    if (i == n) continue;
    if (in.access.offset.coefficient(i) == 0) {
      f.rows *= extent(k, i);
    } else {
      f.outer.push_back(i);
      elements *= extent(k, i);
    }
  }
  if (elements > k.operands[static_cast<size_t>(f.operand)].size) return std::nullopt;
  return f;
}

std::optional<Factor> factor_of(const Kernel& k, const KernelSchedule& s, ScalarId load,
                                ScalarId reader = -1) {
  const Instr& in = k.body[static_cast<size_t>(load)];
  const SymbolId n = s.vector;
  if (!is_plain(k, in) || in.access.offset.coefficient(n) == 0 || !only_there(k, load, reader, n))
    return std::nullopt;
  std::optional<Factor> f = walked(k, n, load);
  if (f) f->width = f->rows <= kFewRows ? kWidePanel : kPanel;
  return f;
}

// The factor of a product of bytes, in groups of as many as a lane of the target's sums takes.
std::optional<Factor> byte_factor(const Kernel& k, const KernelSchedule& s, const Target& target) {
  const std::optional<ByteProduct> product = byte_product(k, s.vector);
  if (!product || product->group != 1) return std::nullopt;
  std::optional<Factor> f = factor_of(k, s, product->b.load, product->b.cast);
  if (f) f->group = target.vnni ? 4 : 2;
  return f;
}

// The factor of a product of bf16, in pairs.
std::optional<Factor> bf16_factor(const Kernel& k, const KernelSchedule& s, const Target& target) {
  const std::optional<PairProduct> product = target.bf16 ? pair_product(k, s.vector) : std::nullopt;
  if (!product || product->interleaved || !only_there(k, product->b, -1, s.vector))
    return std::nullopt;
  const SymbolId second = k.red_symbol(static_cast<int>(k.red.size()) - 1);
  for (const IndexTerm& t : k.body[static_cast<size_t>(product->b)].access.offset.terms)
    if (t.symbol != second && t.coefficient < 0) return std::nullopt;
  std::optional<Factor> f = walked(k, s.vector, product->b, product->steps);
  if (f) f->group = 2, f->width = f->rows <= kFewRows ? kWidePanel : kPanel;
  return f;
}

// Elements from a row of a panel to the next: rows longer than a line of the cache begin with one,
// and those of groups are whole vectors.
int64_t pitch(const Kernel& k, const Factor& f, int64_t columns) {
  const int64_t line = 64 / byte_size(k.operands[static_cast<size_t>(f.operand)].dtype);
  return columns < line && f.group == 1 ? columns : (columns + line - 1) / line * line;
}

// Of the reduction iv, or ivs, whose steps are grouped.
int64_t steps(const Kernel& k, const Factor& f) { return f.paired > 0 ? f.paired : k.red.back(); }
int64_t groups(const Kernel& k, const Factor& f) { return (steps(k, f) + f.group - 1) / f.group; }

// A literal that the vectors of any kernel read across memory; all of it becomes one panel.
std::optional<Factor> strided_literal(const Kernel& k, const KernelSchedule& s, ScalarId load) {
  const Instr& in = k.body[static_cast<size_t>(load)];
  if ((k.core != Core::Map && k.core != Core::Reduce) || s.vector < 0 ||
      s.vector >= std::ssize(k.par) || !is_plain(k, in) ||
      in.access.offset.coefficient(s.vector) <= 1)
    return std::nullopt;
  const auto reads = std::ranges::count_if(k.body, [&](const Instr& other) {
    return other.op == Scalar::Load && other.access.operand == in.access.operand;
  });
  if (reads != 1) return std::nullopt;
  std::optional<Factor> f = walked(k, s.vector, load);
  if (f) f->width = extent(k, s.vector);
  return f;
}

// Offset in the packed factor; `panel` and `column` are the ivs of a part, panel -1 for one panel.
// The last derived symbol counts groups, where there are some; pairs have an iv of their own.
IndexExpr packed_offset(const Kernel& k, const Factor& f, const std::vector<SymbolId>& outer,
                        SymbolId panel, SymbolId column,
                        const std::function<void(SymbolId)>& walk = {}) {
  IndexExpr out;
  int64_t step = f.group;
  const auto inside = [&](SymbolId iv) {
    out = out + IndexExpr::symbol(iv) * step;
    step *= extent(k, iv);
    if (walk) walk(iv);
  };
  inside(column);
  step = pitch(k, f, step);
  auto reds = static_cast<int>(k.red.size());
  if (f.paired > 0) {
    const SymbolId second = k.red_symbol(--reds), pair = k.red_symbol(--reds);
    out = out + IndexExpr(1) + IndexExpr::symbol(second) * -1 + IndexExpr::symbol(pair) * step;
    step *= groups(k, f);
    if (walk) walk(second);
  } else if (f.group > 1) {
    const SymbolId last = k.red_symbol(--reds);
    const SymbolId group = k.derived_symbol(static_cast<int>(k.derived.size()) - 1);
    out = out + IndexExpr::symbol(last) + IndexExpr::symbol(group) * (step - f.group);
    step *= groups(k, f);
    if (walk) walk(last);
  }
  while (reds-- > 0) inside(k.red_symbol(reds));
  if (panel >= 0) inside(panel);
  for (size_t i = outer.size(); i-- > 0;) inside(outer[i]);
  return out;
}

// The kernel of some columns, which still reads the factor where it is.
Kernel part_kernel(const Kernel& k, const Factor& f, const Part& part) {
  Kernel out = k;
  const SymbolId n = f.n;
  const bool panels = part.panels();
  const auto at = out.par.begin() + n;
  if (panels) out.par.insert(at, part.count / part.width);
  out.par[static_cast<size_t>(panels ? n + 1 : n)] = panels ? part.width : part.count;
  const auto rewrite = [&](IndexExpr& e) {
    IndexExpr to(e.constant);
    for (const IndexTerm& t : e.terms) {
      const SymbolId s = panels && t.symbol >= n ? t.symbol + 1 : t.symbol;
      to = to + IndexExpr::symbol(s) * t.coefficient;
      if (t.symbol != n) continue;
      to = to + IndexExpr(part.first * t.coefficient);
      if (panels) to = to + IndexExpr::symbol(n) * (part.width * t.coefficient);
    }
    e = std::move(to);
  };
  for (DerivedSymbol& d : out.derived) rewrite(d.numerator);
  for (Guard& g : out.guards) rewrite(g.index);
  for (Instr& in : out.body) rewrite(in.index), rewrite(in.access.offset);
  for (Store& s : out.stores) rewrite(s.access.offset);
  return out;
}

// The literal in the order in which `k` walks it, and `k` walking it so.
struct Packed {
  Kernel kernel;
  Dims dims, strides;  // of the literal's elements, outermost first
  int64_t offset = 0;
  int64_t pitch = 0;
  int64_t group = 1;
};

Packed pack_part(const Kernel& k, const Factor& f, const Part& part) {
  Packed p{part_kernel(k, f, part), {}, {}, 0, 0, f.group};
  if (f.group > 1 && f.paired == 0)
    p.kernel.derived.push_back({IndexExpr::symbol(p.kernel.derived_symbol(0) - 1), f.group});
  const SymbolId column = part.panels() ? f.n + 1 : f.n;
  std::vector<SymbolId> outer;
  for (const SymbolId i : f.outer) outer.push_back(part.panels() && i > f.n ? i + 1 : i);
  Instr& load = p.kernel.body[static_cast<size_t>(f.load)];
  Access& access = load.access;
  const IndexExpr from = access.offset;
  // The iv that stands for all steps of the pairs, which it counts backwards.
  const SymbolId second = f.paired > 0 ? p.kernel.derived_symbol(0) - 1 : -1;
  if (f.paired > 0) load.guards.clear();  // what is missing of the last pair is there as zeros
  access.offset =
      packed_offset(p.kernel, f, outer, part.panels() ? f.n : -1, column, [&](SymbolId iv) {
        const bool back = iv == second;
        p.dims.insert(p.dims.begin(), back ? f.paired : extent(p.kernel, iv));
        p.strides.insert(p.strides.begin(), from.coefficient(iv) * (back ? -1 : 1));
      });
  p.offset = from.constant + (second < 0 ? 0 : from.coefficient(second));
  p.pitch = pitch(k, f, p.dims.back() * f.group);
  int64_t rows = element_count(p.dims) / p.dims.back();
  if (f.group > 1) rows = rows / steps(k, f) * groups(k, f);
  p.kernel.operands[static_cast<size_t>(f.operand)].size = rows * p.pitch;
  return p;
}

// Whether panels are worth their memory: not where the kernel walks the literal so already, nor
// where all of it stays near anyway.
bool worth_packing(const Kernel& k, const Factor& f) {
  const Operand& operand = k.operands[static_cast<size_t>(f.operand)];
  const IndexExpr& offset = k.body[static_cast<size_t>(f.load)].access.offset;
  const bool side_by_side = offset.coefficient(f.n) == 1;
  if (side_by_side && operand.size * byte_size(operand.dtype) <= kNear) return false;
  return extent(k, f.n) > f.width || !(offset == packed_offset(k, f, f.outer, -1, f.n));
}

// Elements [.., k, columns] as [.. k / group, columns * group]: the steps of a group side by side
// for each column, zeros where the last has fewer.
template <class T>
Tensor interleaved(const Tensor& t, int64_t group) {
  const int64_t columns = t.dims().back(), steps = t.dims()[t.dims().size() - 2];
  const int64_t groups = (steps + group - 1) / group, all = t.size() / (steps * columns);
  Tensor out = Tensor::zeros(t.dtype(), {all * groups, columns * group});
  const auto* from = static_cast<const T*>(t.raw());
  auto* to = static_cast<T*>(out.mutable_raw());
  for (int64_t i = 0; i < all; ++i, to += groups * columns * group)
    for (int64_t k = 0; k < steps; ++k)
      for (int64_t c = 0; c < columns; ++c)
        to[(k / group * columns + c) * group + k % group] = *from++;
  return out;
}

Tensor grouped(const Tensor& t, int64_t group) {
  if (group == 1) return t;
  return byte_size(t.dtype()) == 1 ? interleaved<uint8_t>(t, group)
                                   : interleaved<uint16_t>(t, group);
}

// The last axis apart by `pitch` elements, the gaps zero.
Tensor with_pitch(Tensor t, int64_t pitch) {
  const int64_t columns = t.dims().back(), rows = t.size() / columns;
  if (columns == pitch) return t;
  Tensor out = Tensor::zeros(t.dtype(), {rows, pitch});
  const int64_t bytes = byte_size(t.dtype());
  for (int64_t r = 0; r < rows; ++r)
    std::memcpy(static_cast<std::byte*>(out.mutable_raw()) + r * pitch * bytes,
                static_cast<const std::byte*>(t.raw()) + r * columns * bytes,
                static_cast<size_t>(columns * bytes));
  return out;
}

class Packer {
 public:
  Packer(Program& p, const Target& target) : p_(p), target_(target) {
    for (size_t i = 0; i < p.kernels.size(); ++i)
      by_text_.emplace(print_kernel(p.kernels[i]), static_cast<int>(i));
    found_.resize(p.kernels.size());
    for (size_t i = 0; i < p.kernels.size(); ++i) found_[i] = find(p.kernels[i], p.schedules[i]);
  }

  bool run(const ParallelFor& parallel) {
    visit(p_.plan.steps);
    parallel(std::ssize(work_), [&](int64_t i) { lay_out(work_[static_cast<size_t>(i)]); });
    p_.plan.kernels = static_cast<int>(p_.kernels.size());
    return changed_;
  }

 private:
  std::optional<Factor> find(const Kernel& k, const KernelSchedule& s) const {
    std::optional<Factor> f = byte_factor(k, s, target_);
    if (!f) f = bf16_factor(k, s, target_);
    if (f) return f;
    if (is_sequential_product(k, s)) {
      const Reduction& r = k.reductions[0];
      f = factor_of(k, s, r.b);
      if (!f) f = factor_of(k, s, r.a);
      if (f && target_.isa < Isa::avx512) f->width /= 2;
      if (f && !worth_packing(k, *f)) return std::nullopt;
    }
    for (ScalarId load = 0; !f && load < std::ssize(k.body); ++load)
      if (k.body[static_cast<size_t>(load)].op == Scalar::Load) f = strided_literal(k, s, load);
    return f;
  }

  void visit(std::vector<Step>& steps) {
    std::vector<Step> out;
    for (Step& s : steps) {
      visit(s.body);
      visit(s.other);
      if (!pack(s, out)) out.push_back(std::move(s));
    }
    steps = std::move(out);
  }

  bool pack(const Step& s, std::vector<Step>& out) {
    if (s.kind != StepKind::Call || static_cast<size_t>(s.kernel) >= found_.size()) return false;
    const std::optional<Factor>& f = found_[static_cast<size_t>(s.kernel)];
    if (!f) return false;
    const BufferRef& literal = s.args[static_cast<size_t>(f->operand)];
    if (p_.plan.buffers[static_cast<size_t>(literal.buffer)].kind != BufferKind::Constant ||
        literal.offset != 0 || !literal.terms.empty())
      return false;
    const Kernel k = p_.kernel_of(s);
    const int64_t columns = extent(k, f->n), whole = columns / f->width * f->width;
    if (columns <= f->width) {
      out.push_back(call(s, *f, pack_part(k, *f, {0, columns, f->width})));
    } else {
      out.push_back(call(s, *f, pack_part(k, *f, {0, whole, f->width})));
      const KernelSchedule panels = p_.schedules[static_cast<size_t>(out.back().kernel)];
      if (columns > whole)
        out.push_back(call(s, *f, pack_part(k, *f, {whole, columns - whole, f->width}),
                           rows_of(panels, *f, whole > f->width)));
    }
    return changed_ = true;
  }

  // How the columns beyond the panels are split as those are: rows that one thread has written all
  // of share no lines with another's.
  static std::optional<KernelSchedule> rows_of(KernelSchedule panels, const Factor& f,
                                               bool several) {
    const SymbolId first = f.n, last = several ? f.n + 1 : f.n;
    if (panels.parallel < 0 || (panels.parallel >= first && panels.parallel <= last))
      return std::nullopt;
    panels.vector = f.n;
    if (panels.parallel > last) panels.parallel -= last - first;
    return panels;
  }

  // `as`: how it is split, where that is known.
  Step call(Step s, const Factor& f, Packed part,
            const std::optional<KernelSchedule>& as = std::nullopt) {
    BufferRef& factor = s.args[static_cast<size_t>(f.operand)];
    const Operand& operand = part.kernel.operands[static_cast<size_t>(f.operand)];
    factor.buffer = packed(factor.buffer, part, operand.size * byte_size(operand.dtype));
    s.kernel = intern(std::move(part.kernel), as);
    return s;
  }

  int packed(int literal, const Packed& part, int64_t bytes) {
    const auto [found, fresh] = literals_.emplace(
        std::tuple(literal, part.dims, part.strides, part.offset, part.group), -1);
    if (!fresh) return found->second;
    Plan& plan = p_.plan;
    const Buffer from = plan.buffers[static_cast<size_t>(literal)];
    const auto index = static_cast<int>(plan.constants.size());
    plan.buffers.push_back({from.name, BufferKind::Constant, index, bytes, 0});
    plan.constants.emplace_back();
    work_.push_back({from.index, index, part});
    return found->second = static_cast<int>(plan.buffers.size()) - 1;
  }

  // A literal to be laid out as `part` says, and where it is to go among the constants.
  struct Work {
    int from, to;
    Packed part;
  };

  void lay_out(const Work& w) {
    const Packed& part = w.part;
    Tensor panels = gather_strided(p_.plan.constants[static_cast<size_t>(w.from)], part.dims,
                                   part.strides, part.offset);
    p_.plan.constants[static_cast<size_t>(w.to)] =
        with_pitch(grouped(panels, part.group), part.pitch);
  }

  int intern(Kernel k, const std::optional<KernelSchedule>& as) {
    const std::string split = as ? print_schedule(*as) : "";
    const auto [found, fresh] =
        by_text_.emplace(split + print_kernel(k), static_cast<int>(p_.kernels.size()));
    if (fresh) {
      const KernelSchedule schedule = as ? *as : choose_schedule(k, target_);
      p_.add(std::move(k), schedule);
    }
    return found->second;
  }

  Program& p_;
  const Target& target_;
  std::vector<std::optional<Factor>> found_;  // by kernel of the beginning
  std::map<std::string, int> by_text_;
  std::map<std::tuple<int, Dims, Dims, int64_t, int64_t>, int> literals_;
  std::vector<Work> work_;
  bool changed_ = false;
};

}  // namespace

void pack_constants(Program& p, const Target& target, const ParallelFor& parallel) {
  if (Packer(p, target).run(parallel)) drop_unused(p);
}

}  // namespace lathe
