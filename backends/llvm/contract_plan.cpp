#include "backends/llvm/contract_plan.h"

#include <algorithm>

#include "backends/llvm/kernel.h"

namespace lathe::codegen {
namespace {

constexpr int64_t kMaxPanelBytes = 1 << 20;  // of stack
constexpr int64_t kLine = 64;                // bytes
constexpr int64_t kBlockSteps = 256;         // a panel of so many stays in L1
constexpr int64_t kBlockRows = 192;          // so many, over kBlockSteps, stay in L2
constexpr int64_t kSumsBytes = 1 << 16;
constexpr int64_t kFarRow = 1024;  // bytes between rows of b from which packing pays
// Of a pass over columns whose sums wait in memory: the rows of b that it reads side by side, and
// the vectors of its tiles.
constexpr int64_t kPassSteps = 8;
constexpr int kPassParts = 4;
// Of panels that are transposed for one row: pieces of the rows of b, long enough for memory.
constexpr int64_t kStripSteps = 1024;
constexpr int kStripParts = 2;

int64_t extent(const Kernel& k, SymbolId par) { return k.par[static_cast<size_t>(par)]; }

// Values of a parallel iv that one call usually covers.
int64_t usual(const Kernel& k, const KernelSchedule& s, SymbolId par) {
  return par == s.parallel ? std::min(s.grain, extent(k, par)) : extent(k, par);
}

bool shape_fits(const Kernel& k, const KernelSchedule& s) {
  if (k.core != Core::Reduce || k.order != Order::Sequential || k.reductions.size() != 1)
    return false;
  const Reduction& r = k.reductions[0];
  if (!is_fma(r.combine) || (!is_float(r.type) && byte_size(r.type) != 4)) return false;
  if (s.vector < 0 || s.vector >= static_cast<int>(k.par.size())) return false;
  return k.steps() > 0 && !k.red.empty() && extent(k, s.vector) >= 2;
}

// The row iv: one that `a` varies in and `b` does not; the innermost of a useful length.
SymbolId choose_rows(const Analysis& a, const KernelSchedule& s, IvSet in_a, IvSet in_b) {
  SymbolId best = -1;
  for (int i = 0; i < static_cast<int>(a.k.par.size()); ++i) {
    if (!(in_a & iv_bit(i)) || (in_b & iv_bit(i)) || extent(a.k, i) < 2) continue;
    if (best < 0 || usual(a.k, s, i) >= std::min<int64_t>(usual(a.k, s, best), 4)) best = i;
  }
  if (best < 0) return -1;
  // What varies in both would be computed once for every row and part of a tile.
  for (int32_t i = 0; i < a.k.pre; ++i) {
    const IvSet set = a.instrs[static_cast<size_t>(i)];
    if ((set & iv_bit(best)) && (set & iv_bit(s.vector))) return -1;
  }
  return best;
}

// Register budget: rows * parts accumulators, parts vectors of b and one of a; widening pairs and
// adding their products takes two more.
void choose_tile(ContractPlan& p, const Kernel& k, const KernelSchedule& s,
                 const CodeTarget& target) {
  const int registers = target.isa == Isa::avx512 ? 32 : 16;
  const int default_rows = target.isa == Isa::avx512 ? 8 : target.isa == Isa::avx2 ? 6 : 4;
  const int one_wide = target.isa == Isa::avx512 ? 22 : target.isa == Isa::avx2 ? 12 : 8;
  const int64_t n = usual(k, s, p.n), m = p.m < 0 ? 1 : usual(k, s, p.m);
  const auto most_parts = static_cast<int>(std::max<int64_t>(1, (n + p.lanes - 1) / p.lanes));
  const int asked = s.tile_n > 0 ? std::max<int>(1, static_cast<int>(s.tile_n) / p.lanes) : 2;
  const int more = 1 + (p.dot && p.dot->widens() ? 2 : 0);
  // A single row takes b from memory.
  const auto fits = [&](int rows, int parts) {
    return (rows == 1 ? parts : (rows + 1) * parts) + more <= registers;
  };
  p.parts = std::min(asked, most_parts);
  p.rows = s.tile_m > 0 ? static_cast<int>(s.tile_m) : default_rows;
  if (p.parts == 1) p.rows = one_wide;
  if (m < p.rows) {
    p.rows = static_cast<int>(m);
    while (p.parts < std::min(most_parts, 8) && fits(p.rows, p.parts + 1)) ++p.parts;
  }
  while (p.rows > 1 && !fits(p.rows, p.parts)) --p.rows;
  while (p.parts > 1 && !fits(p.rows, p.parts)) --p.parts;
  p.tall = static_cast<int>(std::clamp<int64_t>(m, 1, std::max(one_wide, p.rows)));
  while (p.tall > p.rows && !fits(p.tall, 1)) --p.tall;
  p.halves = !p.dot && target.isa == Isa::avx512;
  // Chunks of columns are whole tiles: what is left at a chunk's end is known for the last only.
  if (p.n == s.parallel && s.grain < extent(k, p.n) && s.grain % p.lanes == 0)
    while (s.grain % p.width() != 0) --p.parts;
}

// Rows that share a panel before the next is taken: all, unless they would not stay in L2.
int64_t choose_block(const ContractPlan& p, const Kernel& k, const KernelSchedule& s,
                     const Target& target) {
  if (p.m < 0) return 1;
  const int64_t rows = usual(k, s, p.m);
  const int64_t row_bytes = k.steps() * byte_size(k.reductions[0].type);
  const int64_t most = target.l2_bytes / 2 / std::max<int64_t>(row_bytes, 1);
  if (rows <= most || most < 16 * p.rows || !p.inner.empty()) return rows;
  const int64_t blocks = (rows + most - 1) / most;
  const int64_t each = (rows + blocks - 1) / blocks;
  return std::min(rows, (each + p.rows - 1) / p.rows * p.rows);
}

// Steps of the outermost reduction iv that make about `wanted` in all; 0 where no divisor is near.
int64_t block_steps(const Kernel& k, int64_t wanted) {
  const int64_t extent = k.red[0], inner = k.steps() / extent;
  int64_t best = 0;
  const auto distance = [&](int64_t steps) {
    const int64_t all = steps * inner;
    return std::max(all, wanted) * 16 / std::min(all, wanted) + (all % 4 ? 4 : 0);
  };
  for (int64_t steps = 1; steps * inner <= 2 * wanted && steps < extent; ++steps)
    if (extent % steps == 0 && 2 * steps * inner >= wanted &&
        (best == 0 || distance(steps) < distance(best)))
      best = steps;
  return best;
}

// Long reductions in blocks: where the rows of `a` lie side by side each step is another cache
// line, which one pass over the tiles of a block finds in L2.
void choose_steps(ContractPlan& p, const Analysis& a, const KernelSchedule& s,
                  const CodeTarget& target) {
  const Kernel& k = a.k;
  if (p.m < 0 || p.rows < 2 || !p.inner.empty() || k.steps() < 2 * kBlockSteps) return;
  const Reduction& r = k.reductions[0];
  const Instr& rows = k.body[static_cast<size_t>(p.b == r.b ? r.a : r.b)];
  const int last = static_cast<int>(k.red.size()) - 1;
  const int64_t bytes = byte_size(r.type);
  const bool lines = rows.op == Scalar::Load &&
                     rows.access.offset.coefficient(k.red_symbol(last)) * bytes >= kLine;
  const bool far = k.steps() * p.width() * bytes > target.l2_bytes / 2;
  if (!lines && !far) return;
  p.steps = block_steps(k, kBlockSteps);
  if (p.steps == 0) return;
  const int64_t height = std::min(usual(k, s, p.m), kBlockRows);
  p.block = (height + p.rows - 1) / p.rows * p.rows;
  p.block = std::min(p.block, usual(k, s, p.m));
  const int64_t most = std::max<int64_t>(kSumsBytes / bytes / p.block, p.width());
  const int64_t wanted = std::min(most, usual(k, s, p.n) + p.width() - 1);
  p.columns = wanted / p.width() * p.width();
}

// A divisor of the reduction near kPassSteps; 0 where there is none.
int64_t pass_steps(int64_t extent) {
  int64_t best = 0;
  for (int64_t steps = kPassSteps / 2; steps <= std::min(2 * kPassSteps, extent / 2); ++steps)
    if (extent % steps == 0 &&
        (best == 0 || std::abs(steps - kPassSteps) <= std::abs(best - kPassSteps)))
      best = steps;
  return best;
}

// One row times a b that comes from memory. Where the columns of b lie side by side, a register
// tile would take a short piece of each of its rows, and memory is fast along them: all columns
// pass for a few steps at a time. Where the reduction runs along memory, panels of as many steps as
// stay near are transposed.
void choose_passes(ContractPlan& p, const Analysis& a, const KernelSchedule& s,
                   const CodeTarget& target) {
  const Kernel& k = a.k;
  const Instr& b = k.body[static_cast<size_t>(p.b)];
  if (p.m >= 0 || k.red.size() != 1 || b.op != Scalar::Load || !b.access.indirect.empty()) return;
  if (std::ranges::any_of(p.inner, [&](SymbolId i) { return extent(k, i) > 1; })) return;
  const IndexExpr& at = b.access.offset;
  const int64_t bytes = byte_size(k.operands[static_cast<size_t>(b.access.operand)].dtype);
  const int64_t columns = extent(k, p.n);
  const bool side_by_side =
      at.coefficient(p.n) == 1 && std::abs(at.coefficient(k.red_symbol(0))) >= columns &&
      k.steps() * columns * bytes > target.l2_bytes && usual(k, s, p.n) * bytes >= kFarRow;
  const bool along = packs_by_transposing(k, p.b, p.n) && k.steps() >= 2 * kStripSteps;
  p.steps = side_by_side ? pass_steps(k.red[0]) : along ? block_steps(k, kStripSteps) : 0;
  if (p.steps == 0) return;
  p.parts = std::min(p.parts, along ? kStripParts : kPassParts);
  const int64_t most = kSumsBytes / byte_size(k.reductions[0].type);
  p.columns = std::min(most, columns + p.width() - 1) / p.width() * p.width();
}

bool is_plain_load(const Analysis& a, ScalarId id) {
  const SymbolId last = a.k.red_symbol(static_cast<int>(a.k.red.size()) - 1);
  const IvSet set = a.instrs[static_cast<size_t>(id)];
  if (a.k.body[static_cast<size_t>(id)].op != Scalar::Load || !(set & iv_bit(last))) return false;
  for (const Instr& in : a.k.body) {
    for (ScalarId arg : in.args)
      if (arg == id) return false;
    for (const IndirectTerm& t : in.access.indirect)
      if (t.value == id) return false;
  }
  return true;
}

bool should_pack(const ContractPlan& p, const Analysis& a, const KernelSchedule& s) {
  const Kernel& k = a.k;
  const Instr& b = k.body[static_cast<size_t>(p.b)];
  if (b.op != Scalar::Load || !b.guards.empty() || !b.access.indirect.empty()) return false;
  if (a.instrs[static_cast<size_t>(p.b)] & kPinned) return false;
  for (const IndexTerm& t : b.access.offset.terms)
    if (t.symbol >= k.derived_symbol(0)) return false;
  const int64_t bytes = byte_size(k.operands[static_cast<size_t>(b.access.operand)].dtype);
  const int64_t steps = p.steps > 0 ? k.steps() / k.red[0] * p.steps : k.steps();
  if (steps * p.width() * bytes > kMaxPanelBytes) return false;
  int64_t uses = p.m < 0 ? 1 : (usual(k, s, p.m) + p.rows - 1) / p.rows;
  for (SymbolId i : p.inner) uses *= usual(k, s, i);
  if (packs_by_transposing(k, p.b, p.n)) return true;
  if (b.access.offset.coefficient(p.n) != 1) return uses >= 2;
  const int last = static_cast<int>(k.red.size()) - 1;
  return uses >= 4 && b.access.offset.coefficient(k.red_symbol(last)) * bytes >= kFarRow;
}

IvSet last_step(const Kernel& k) {
  return iv_bit(k.red_symbol(static_cast<int>(k.red.size()) - 1));
}

}  // namespace

bool guards_last_step(const Analysis& a) {
  return std::ranges::any_of(a.guards, [&](IvSet guard) { return (guard & last_step(a.k)) != 0; });
}

std::optional<ContractPlan> plan_contraction(const Analysis& a, const KernelSchedule& s,
                                             const CodeTarget& target, const DotForm* dot) {
  const Kernel& k = a.k;
  if (!shape_fits(k, s)) return std::nullopt;
  const Reduction& r = k.reductions[0];
  ContractPlan p;
  p.n = s.vector, p.dot = dot;
  IvSet in_a = a.instrs[static_cast<size_t>(r.a)], in_b = a.instrs[static_cast<size_t>(r.b)];
  p.b = r.b;
  if (in_a & iv_bit(p.n)) std::swap(in_a, in_b), p.b = r.a;
  if ((in_a & iv_bit(p.n)) || !(in_b & iv_bit(p.n))) return std::nullopt;
  for (size_t d = 0; d < k.derived.size(); ++d)
    if (a.symbols[k.par.size() + k.red.size() + d] & iv_bit(p.n)) return std::nullopt;
  p.lanes = vector_lanes(k, target);
  p.m = choose_rows(a, s, in_a, in_b);
  choose_tile(p, k, s, target);
  for (int i = 0; i < static_cast<int>(k.par.size()); ++i)
    if (i != p.m && i != p.n)
      (!(in_b & iv_bit(i)) ? p.inner : (in_a & iv_bit(i)) ? p.outer : p.walks).push_back(i);
  p.block = choose_block(p, k, s, target);
  if (!dot) choose_steps(p, a, s, target), choose_passes(p, a, s, target);
  // Sums in memory are those of one walk.
  if (p.steps > 0) p.outer.insert(p.outer.end(), p.walks.begin(), p.walks.end()), p.walks.clear();
  p.pack = dot ? dot->pack : should_pack(p, a, s);
  if (dot && p.pack && k.steps() * p.row_elements() * dot->bytes > kMaxPanelBytes)
    return std::nullopt;
  p.defer_a = dot || is_plain_load(a, p.b == r.b ? r.a : r.b);
  if (!p.defer_a) p.tall = p.rows;  // each row takes a register more
  const bool passes = p.m < 0 && p.steps > 0 && p.steps <= 2 * kPassSteps;
  p.unroll = passes ? static_cast<int>(p.steps) : 4;
  for (size_t d = 0; d < k.derived.size(); ++d)
    if (a.symbols[k.par.size() + k.red.size() + d] & last_step(k)) p.unroll = 1;
  // Copies would share what neighbouring rows read, and all of it outgrows the registers.
  if (guards_last_step(a)) p.unroll = 1;
  // The sums of unrolled pairs would not stay in their registers.
  if (k.red.back() < 4 || (dot && dot->widens())) p.unroll = 1;
  p.rows_in_memory = p.rows > 1 && long_epilogue(k);
  return p;
}

Kernel cut_reduction(const Kernel& k, int64_t steps) {
  Kernel out = k;
  const SymbolId block = static_cast<SymbolId>(k.par.size());
  out.par.push_back(k.red[0] / steps);
  out.red[0] = steps;
  const auto cut = [&](IndexExpr& e) {
    IndexExpr renamed(e.constant);
    for (const IndexTerm& t : e.terms) {
      renamed =
          renamed + IndexExpr::symbol(t.symbol < block ? t.symbol : t.symbol + 1) * t.coefficient;
      if (t.symbol == block) renamed = renamed + IndexExpr::symbol(block) * (t.coefficient * steps);
    }
    e = renamed;
  };
  for (DerivedSymbol& d : out.derived) cut(d.numerator);
  for (Guard& g : out.guards) cut(g.index);
  for (Instr& in : out.body) cut(in.index), cut(in.access.offset);
  for (Store& s : out.stores) cut(s.access.offset);
  return out;
}

Kernel pack_kernel(const Kernel& k, ScalarId b) {
  Kernel out;
  out.operands = k.operands;
  out.par = k.par, out.red = k.red;
  out.core = Core::Scatter;
  out.body = {k.body[static_cast<size_t>(b)]};
  out.pre = 1;
  const auto scratch = static_cast<int32_t>(out.operands.size());
  const DType t = k.operands[static_cast<size_t>(out.body[0].access.operand)].dtype;
  out.operands.push_back({t, 0, OperandRole::Out});
  out.stores = {{{scratch, {}, {}}, 0, Combine::Assign}};
  return out;
}

IndexExpr panel_offset(const Kernel& k, int64_t width) {
  IndexExpr out;
  int64_t step = width;
  for (int i = static_cast<int>(k.red.size()); i-- > 0;) {
    out = out + IndexExpr::symbol(k.red_symbol(i)) * step;
    step *= k.red[static_cast<size_t>(i)];
  }
  return out;
}

}  // namespace lathe::codegen
