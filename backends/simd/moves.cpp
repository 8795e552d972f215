#include "backends/simd/moves.h"

#include <algorithm>

#include "backends/simd/factors.h"
#include "backends/simd/move.h"
#include "backends/simd/vm.h"
#include "ir/scalar_eval.h"

namespace lathe::simd {
namespace {

// Of a row, and of an element, in nanoseconds.
constexpr double kRow = 4, kContiguous = 0.06, kStrided = 0.5;
constexpr int kMostSources = 256;

const Instr& instr(const Kernel& k, ScalarId id) { return k.body[static_cast<size_t>(id)]; }

bool affine(const Kernel& k, const IndexExpr& e) {
  return std::ranges::all_of(e.terms,
                             [&](const IndexTerm& t) { return t.symbol < k.derived_symbol(0); });
}

// What a stored value is made of.
struct Sources {
  std::vector<IndexExpr> loads;
  std::vector<Guard> guards;
  int count = 0;
};

// Why the value is no move, or null.
const char* add_source(const Kernel& k, ScalarId id, Sources& to) {
  if (++to.count > kMostSources) return "too many sources";
  const Instr& in = instr(k, id);
  const auto add_guards = [&](const std::vector<GuardId>& guards) {
    for (const GuardId g : guards) to.guards.push_back(k.guards[static_cast<size_t>(g)]);
  };
  switch (in.op) {
    case Scalar::Const: return nullptr;
    case Scalar::Load:
      if (k.operands[static_cast<size_t>(in.access.operand)].dtype !=
          k.operands[static_cast<size_t>(k.stores[0].access.operand)].dtype)
        return "a load of another type";
      if (!in.access.indirect.empty() || !affine(k, in.access.offset))
        return "a load that is not affine in the ivs";
      to.loads.push_back(in.access.offset);
      add_guards(in.guards);
      return nullptr;
    case Scalar::Select: {
      const Instr& test = instr(k, in.args[0]);
      if (test.op != Scalar::GuardTest) return "a choice that data makes";
      add_guards(test.guards);
      if (const char* reason = add_source(k, in.args[1], to)) return reason;
      return add_source(k, in.args[2], to);
    }
    default: return "it computes";
  }
}

Result<Sources> find_sources(const Kernel& k) {
  if (k.core != Core::Map || k.stores.size() != 1) return failure("no map with one result");
  const Store& s = k.stores[0];
  const DType type = k.operands[static_cast<size_t>(s.access.operand)].dtype;
  if (compute_type(type) != type || s.combine != Combine::Assign || !s.access.indirect.empty() ||
      !affine(k, s.access.offset))
    return failure("no plain store");
  if (k.points() == 0) return failure("empty");
  Sources out;
  if (const char* reason = add_source(k, s.value, out)) return failure("{}", reason);
  for (const Guard& g : out.guards)
    if (!affine(k, g.index)) return failure("a guard is not affine in the ivs");
  return out;
}

// The iv along which rows are cheapest, of those along which guards leave one piece of a row.
int choose_row(const Kernel& k, const Sources& from) {
  int best = -1;
  double least = 0;
  for (int i = 0; i < static_cast<int>(k.par.size()); ++i) {
    const bool pieces = std::ranges::all_of(
        from.guards, [&](const Guard& g) { return g.index.coefficient(i) % g.multiple_of == 0; });
    if (!pieces) continue;
    const bool contiguous = k.stores[0].access.offset.coefficient(i) == 1 &&
                            std::ranges::all_of(from.loads, [&](const IndexExpr& e) {
                              return e.coefficient(i) == 1 || e.coefficient(i) == 0;
                            });
    const double cost = kRow / static_cast<double>(k.par[static_cast<size_t>(i)]) +
                        (contiguous ? kContiguous : kStrided);
    if (best < 0 || cost < least) best = i, least = cost;
  }
  return best;
}

// The longest other iv that no guard depends on.
int choose_rows(const Kernel& k, const Sources& from, int n) {
  int best = -1;
  for (int i = 0; i < static_cast<int>(k.par.size()); ++i) {
    const bool alike = std::ranges::none_of(
        from.guards, [&](const Guard& g) { return g.index.coefficient(i) != 0; });
    if (i == n || !alike) continue;
    if (best < 0 || k.par[static_cast<size_t>(i)] > k.par[static_cast<size_t>(best)]) best = i;
  }
  return best;
}

class MovesRun {
 public:
  MovesRun(const Moves& x, void* const* args) : x_(x), k_(x.c.kernel), args_(args) {}

  void range(const int64_t* low, const int64_t* high) {
    const auto count = static_cast<int>(k_.par.size());
    for (int i = 0; i < count; ++i) symbols_[i] = low[i];
    rows_ = x_.m >= 0 ? high[x_.m] - low[x_.m] : 1;
    symbols_[x_.n] = 0;
    for (;;) {
      move(k_.stores[0].value, low[x_.n], high[x_.n]);
      int i = count;
      while (i-- > 0) {
        if (i == x_.n || i == x_.m) continue;
        if (++symbols_[i] < high[i]) break;
        symbols_[i] = low[i];
      }
      if (i < 0) return;
    }
  }

 private:
  struct Place {
    std::byte* at;
    int64_t step, row;  // elements from one to the next
  };
  Place place(const Access& a, int64_t first) const {
    const int64_t step = a.offset.coefficient(x_.n);
    return {static_cast<std::byte*>(args_[a.operand]) +
                (index_at(k_, a.offset, symbols_) + first * step) * x_.bytes,
            step, x_.m >= 0 ? a.offset.coefficient(x_.m) : 0};
  }

  // Elements [first, last) of all rows become what `id` is there.
  void move(ScalarId id, int64_t first, int64_t last) const {
    if (first >= last) return;
    const Instr& in = instr(k_, id);
    if (in.op == Scalar::Const) {
      const uint64_t bits = scalar::constant_bits(in.type, in.number, in.integer);
      return copy(first, last, {as_bytes(&bits), 0, 0});
    }
    const bool load = in.op == Scalar::Load;
    int64_t begin = first, end = last;
    for (const GuardId g : load ? in.guards : instr(k_, in.args[0]).guards)
      narrow_row(k_.guards[static_cast<size_t>(g)], &begin, &end);
    if (begin >= end) begin = end = first;
    const uint64_t zero = 0;
    if (!load) {
      move(in.args[1], begin, end);
      move(in.args[2], first, begin);
      return move(in.args[2], end, last);
    }
    if (begin < end) copy(begin, end, place(in.access, begin));
    if (first < begin) copy(first, begin, {as_bytes(&zero), 0, 0});
    if (end < last) copy(end, last, {as_bytes(&zero), 0, 0});
  }
  static std::byte* as_bytes(const uint64_t* value) {  // which is only read
    return reinterpret_cast<std::byte*>(const_cast<uint64_t*>(value));
  }

  void narrow_row(const Guard& g, int64_t* begin, int64_t* end) const {
    narrow(g, index_at(k_, g.index, symbols_), g.index.coefficient(x_.n), begin, end);
  }

  void copy(int64_t first, int64_t last, const Place& from) const {
    const Place to = place(k_.stores[0].access, first);
    const int64_t n = last - first;
    visit_width(x_.bytes, [&]<class T>() {
      const T* source = reinterpret_cast<const T*>(from.at);
      T* target = reinterpret_cast<T*>(to.at);
      constexpr int64_t kShort = 8;
      for (int64_t r = 0; r < rows_; ++r, source += from.row, target += to.row)
        if (from.step == 1 && to.step == 1 && n > kShort)
          std::memcpy(target, source, static_cast<size_t>(n) * sizeof(T));
        else
          for (int64_t i = 0; i < n; ++i) target[i * to.step] = source[i * from.step];
    });
  }

  const Moves& x_;
  const Kernel& k_;
  void* const* args_;
  int64_t symbols_[kMaxIvs] = {}, rows_ = 1;
};

}  // namespace

Result<std::shared_ptr<const Moves>> plan_moves(const Canonical& c) {
  const Kernel& k = c.kernel;
  const Result<Sources> from = find_sources(k);
  if (!from) return failure("{}", from.error());
  auto x = std::make_shared<Moves>();
  x->c = c;
  x->n = choose_row(k, *from);
  if (x->n < 0) return failure("guards leave single elements of all rows");
  x->m = choose_rows(k, *from, x->n);
  x->bytes = static_cast<int>(
      byte_size(k.operands[static_cast<size_t>(k.stores[0].access.operand)].dtype));
  return std::shared_ptr<const Moves>(std::move(x));
}

void run_moves(void* const* args, int64_t begin, int64_t end, const void* context) {
  const auto& x = *static_cast<const Moves*>(context);
  int64_t low[kMaxIvs], high[kMaxIvs];
  if (call_range(x.c.kernel, x.c.parallel, x.c.scale, begin, end, low, high))
    MovesRun(x, args).range(low, high);
}

}  // namespace lathe::simd
