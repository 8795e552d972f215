#include "backends/simd/vm.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "backends/simd/flush.h"
#include "backends/simd/move.h"

namespace lathe::simd {
namespace {

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && a < 0 ? 1 : 0); }

int64_t coefficient(const TileIndex& x, SymbolId s) {
  for (const IndexTerm& t : x.terms)
    if (t.symbol == s) return t.coefficient;
  return 0;
}

constexpr size_t kAlign = 64;
constexpr size_t round_up(size_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

struct FreeDelete {
  void operator()(std::byte* p) const { std::free(p); }
};
struct Block {
  std::unique_ptr<std::byte, FreeDelete> bytes;
  size_t size = 0;
};

}  // namespace

std::byte* scratch(ScratchUse slot, int64_t bytes) {
  thread_local Block blocks[2];
  Block& b = blocks[static_cast<int>(slot)];
  const size_t wanted = round_up(static_cast<size_t>(std::max<int64_t>(bytes, 1)));
  if (b.size < wanted) {
    b.bytes.reset(static_cast<std::byte*>(std::aligned_alloc(kAlign, wanted)));
    b.size = b.bytes != nullptr ? wanted : 0;
    if (b.bytes == nullptr) throw std::bad_alloc();
  }
  return b.bytes.get();
}

Run::Run(const Plan& p, void* const* args) : p_(p), args_(args) {
  const size_t registers = round_up(p.registers.size() * sizeof(void*));
  const size_t symbols = round_up(static_cast<size_t>(p.k.symbol_count()) * sizeof(int64_t));
  std::byte* memory =
      scratch(ScratchUse::Registers, static_cast<int64_t>(registers + symbols) + p.scratch_bytes);
  regs_ = reinterpret_cast<void**>(memory);
  symbols_ = reinterpret_cast<int64_t*>(memory + registers);
  memory_ = memory + registers + symbols;
  std::fill_n(symbols_, p.k.symbol_count(), 0);
  for (size_t i = 0; i < p.registers.size(); ++i) {
    const Register& r = p.registers[i];
    if (r.external) continue;
    // Constants are only read.
    regs_[i] = r.constant ? const_cast<uint64_t*>(&p.constants[static_cast<size_t>(r.offset)])
                          : static_cast<void*>(memory_ + r.offset);
  }
}

bool call_range(const Kernel& k, int parallel, int64_t scale, int64_t begin, int64_t end,
                int64_t* low, int64_t* high) {
  for (size_t i = 0; i < k.par.size(); ++i) low[i] = 0, high[i] = k.par[i];
  if (parallel >= 0) low[parallel] = begin * scale, high[parallel] = end * scale;
  for (size_t i = 0; i < k.par.size(); ++i)
    if (low[i] >= high[i]) return false;
  return true;
}

void Run::range(int64_t begin, int64_t end) {
  int64_t low[kMaxIvs], high[kMaxIvs];
  if (!plan_range(p_, begin, end, low, high)) return;
  start();
  points(low, high);
}

// Every point of the parallel ivs but the vector one.
void Run::points(const int64_t* low, const int64_t* high) {
  const auto count = static_cast<int>(p_.k.par.size());
  for (int i = 0; i < count; ++i) symbols_[i] = low[i];
  for (;;) {
    run_list(Level::Row, p_.tile);
    if (p_.along_reduction) reduce_row();
    else if (p_.vector >= 0) tiles(low[p_.vector], high[p_.vector]);
    else tiles(0, 1);
    int i = count;
    while (i-- > 0) {
      if (i == p_.vector) continue;
      if (++symbols_[i] < high[i]) break;
      symbols_[i] = low[i];
    }
    if (i < 0) return;
  }
}

// Every point of the first `ivs` reduction ivs.
template <class F>
void Run::each_step(size_t ivs, F&& body) {
  int64_t* red = symbols_ + p_.k.par.size();
  for (size_t i = 0; i < p_.k.red.size(); ++i) {
    red[i] = 0;
    if (p_.k.red[i] <= 0) return;
  }
  for (;;) {
    body();
    size_t i = ivs;
    while (i-- > 0) {
      if (++red[i] < p_.k.red[i]) break;
      red[i] = 0;
    }
    if (i == static_cast<size_t>(-1)) return;
  }
}

void Run::tiles(int64_t low, int64_t high) {
  const Core core = p_.k.core;
  const bool lanes = p_.k.order == Order::Lanes;
  const size_t last = p_.k.par.size() + p_.k.red.size() - 1;
  for (int64_t start = low; start < high; start += p_.tile) {
    const int64_t n = std::min(p_.tile, high - start);
    if (p_.vector >= 0) symbols_[p_.vector] = start;
    run_list(Level::Tile, n);
    if (core != Core::Map) {
      reset_accumulators(n);
      each_step(p_.k.red.size(), [&] {
        run_list(Level::Step, n);
        const bool cumulative = core == Core::Cumulative;
        if (cumulative && p_.k.exclusive) run_list(Level::Post, n), run_stores(n);
        fold(n, lanes ? symbols_[last] % kLanes : 0);
        if (cumulative && !p_.k.exclusive) run_list(Level::Post, n), run_stores(n);
        if (core == Core::Scatter) run_stores(n);
      });
      if (lanes) join_lanes(n);
    }
    if (core != Core::Map && core != Core::Reduce) continue;
    place_result(true);
    run_list(Level::Post, n);
    run_stores(n);
  }
}

void Run::reduce_row() {
  const int64_t extent = p_.k.red.back();
  reset_accumulators(1);
  each_step(p_.k.red.size() - 1, [&] {
    for (int64_t start = 0; start < extent; start += p_.tile) {
      const int64_t n = std::min(p_.tile, extent - start);
      symbols_[p_.vector] = start;
      run_list(Level::Step, n);
      for (const TileFold& f : p_.folds) {
        const FlushScope scope(f.flush);
        f.along(regs_[f.acc], regs_[f.a], f.b >= 0 ? regs_[f.b] : nullptr, n);
      }
    }
    symbols_[p_.vector] = 0;
  });
  if (p_.k.order == Order::Lanes)
    for (const TileFold& f : p_.folds)
      for (int64_t half = kLanes / 2; half > 0; half /= 2) {
        auto* acc = reg<std::byte>(f.acc);
        if (f.join != nullptr) f.join(acc, acc, acc + half * f.bytes, nullptr, half);
        else std::memcpy(acc, acc + half * f.bytes, static_cast<size_t>(half * f.bytes));
      }
  run_list(Level::Post, 1);
  run_stores(1);
}

void Run::finish_tile(int64_t start, int64_t n, const void* acc) {
  for (const TileFold& f : p_.folds) regs_[f.acc] = const_cast<void*>(acc);
  symbols_[p_.vector] = start;
  run_list(Level::Tile, n);
  place_result(true);
  run_list(Level::Post, n);
  run_stores(n);
}

// ---- several rows as one tile

void Run::finish_rows(SymbolId m, int64_t first, int64_t rows, int64_t start, int64_t n,
                      const void* acc) {
  const auto from = [acc](int64_t i) { return static_cast<const std::byte*>(acc) + 4 * i; };
  const int64_t together = p_.joins_rows && n > 0 ? p_.tile / n : 1;
  for (int64_t r = 0; r < rows; r += std::max<int64_t>(together, 1)) {
    const int64_t count = std::min(together, rows - r);
    symbols_[m] = first + r;
    if (count > 1) {
      finish_joined({m, first + r, count, n}, start, from(r * n));
      continue;
    }
    run_list(Level::Row, p_.tile);
    for (int64_t j = 0; j < n; j += p_.tile)
      finish_tile(start + j, std::min(p_.tile, n - j), from(r * n + j));
  }
}

void Run::finish_joined(const Rows& rows, int64_t start, const void* acc) {
  for (const TileFold& f : p_.folds) regs_[f.acc] = const_cast<void*>(acc);
  symbols_[p_.vector] = start;
  run_joined(Level::Tile, rows);
  place_result(!p_.stores.empty() && coefficient(p_.stores[0].access.offset, rows.m) == rows.n);
  run_joined(Level::Post, rows);
  for (const TileStore& s : p_.stores) store_joined(s, rows);
}

void Run::run_joined(Level l, const Rows& rows) {
  for (const TileStep& s : p_.list(l))
    if (s.kind == TileStep::Kind::Load) load_joined(s, rows);
    else run_step(s, rows.count * rows.n);
}

void Run::load_joined(const TileStep& s, const Rows& rows) {
  const TileAccess& a = p_.accesses[static_cast<size_t>(s.item)];
  const int64_t apart = coefficient(a.offset, rows.m);
  const bool plain = a.guards.empty() && a.offset.scalars.empty() && a.offset.tiles.empty();
  if (plain && a.offset.step == 1 && apart == rows.n) return load(s, rows.count * rows.n);
  const Register& place = p_.registers[static_cast<size_t>(s.out)];
  std::byte* own = memory_ + place.offset;
  const int64_t bytes = rows.n * place.bytes;
  const bool same = plain && apart == 0;
  if (s.kept >= 0) {
    Kept& kept = kept_[s.kept];
    const auto* from = static_cast<const std::byte*>(args_[a.operand]) + base(a.offset) * a.bytes;
    regs_[s.out] = own;
    if (kept.from == from && kept.n == rows.n && kept.count >= rows.count) return;
    kept = {from, rows.n, rows.count};
  }
  if (plain && a.convert == nullptr && a.offset.step == 1) {
    const auto* from = static_cast<const std::byte*>(args_[a.operand]) + base(a.offset) * a.bytes;
    copy_rows(own, bytes, from, apart * a.bytes, bytes, same ? 1 : rows.count);
    regs_[s.out] = own;
  } else {
    // A load leaves a row at the register's begin, or where it lies; the first row is the last to
    // come.
    for (int64_t r = same ? 0 : rows.count - 1; r >= 0; --r) {
      symbols_[rows.m] = rows.first + r;
      load(s, rows.n);
      std::byte* to = own + r * bytes;
      if (regs_[s.out] != to) std::memcpy(to, regs_[s.out], static_cast<size_t>(bytes));
    }
    symbols_[rows.m] = rows.first;
    regs_[s.out] = own;
  }
  for (int64_t done = 1; same && done < rows.count; done *= 2)
    std::memcpy(own + done * bytes, own,
                static_cast<size_t>(std::min(done, rows.count - done) * bytes));
}

void Run::store_joined(const TileStore& s, const Rows& rows) {
  const TileIndex& to = s.access.offset;
  const int64_t apart = coefficient(to, rows.m);
  const bool plain = to.tiles.empty() && to.scalars.empty() && to.step == 1;
  if (plain && apart == rows.n) return store(s, rows.count * rows.n);
  void* const value = regs_[s.value];
  const int64_t bytes = rows.n * p_.registers[static_cast<size_t>(s.value)].bytes;
  if (plain && s.convert == nullptr && s.combine == nullptr) {
    const int64_t size = s.access.bytes;
    copy_rows(static_cast<std::byte*>(args_[s.access.operand]) + base(to) * size, apart * size,
              static_cast<const std::byte*>(value), bytes, bytes, rows.count);
    return;
  }
  for (int64_t r = 0; r < rows.count; ++r) {
    symbols_[rows.m] = rows.first + r;
    regs_[s.value] = static_cast<std::byte*>(value) + r * bytes;
    store(s, rows.n);
  }
  regs_[s.value] = value;
  symbols_[rows.m] = rows.first;
}

// ---- accumulators

void Run::reset_accumulators(int64_t n) {
  for (const TileFold& f : p_.folds) {
    const Register& r = p_.registers[static_cast<size_t>(f.acc)];
    if (!r.varying) {
      splat(regs_[f.acc], &f.identity, f.bytes, r.lanes);
      continue;
    }
    for (int64_t j = 0; j < r.lanes; ++j)
      splat(reg<std::byte>(f.acc) + j * f.bytes * p_.tile, &f.identity, f.bytes, n);
  }
}

void Run::fold(int64_t n, int64_t lane) {
  for (const TileFold& f : p_.folds) {
    const int64_t apart = p_.registers[static_cast<size_t>(f.acc)].varying ? p_.tile : 1;
    void* acc = reg<std::byte>(f.acc) + lane * f.bytes * apart;
    if (f.fma) {
      const FlushScope scope(f.flush);
      f.tile(acc, regs_[f.a], regs_[f.b], acc, n);
    } else if (f.tile != nullptr) f.tile(acc, acc, regs_[f.a], nullptr, n);
    else std::memcpy(acc, regs_[f.a], static_cast<size_t>(n * f.bytes));
  }
}

void Run::join_lanes(int64_t n) {
  for (const TileFold& f : p_.folds) {
    const int64_t apart =
        f.bytes * (p_.registers[static_cast<size_t>(f.acc)].varying ? p_.tile : 1);
    auto* acc = reg<std::byte>(f.acc);
    for (int64_t half = kLanes / 2; half > 0; half /= 2)
      for (int64_t j = 0; j < half; ++j) {
        std::byte *to = acc + j * apart, *from = acc + (j + half) * apart;
        if (f.join != nullptr) f.join(to, to, from, nullptr, n);
        else std::memcpy(to, from, static_cast<size_t>(n * f.bytes));
      }
  }
}

// ---- steps

void Run::run_list(Level l, int64_t n) {
  for (const TileStep& s : p_.list(l)) run_step(s, s.varying ? n : 1);
}

void Run::run_step(const TileStep& s, int64_t n) {
  switch (s.kind) {
    case TileStep::Kind::Compute:
      s.fn(regs_[s.out], s.in[0] >= 0 ? regs_[s.in[0]] : nullptr,
           s.in[1] >= 0 ? regs_[s.in[1]] : nullptr, s.in[2] >= 0 ? regs_[s.in[2]] : nullptr, n);
      return;
    case TileStep::Kind::Splat: return splat(regs_[s.out], regs_[s.in[0]], s.bytes, n);
    case TileStep::Kind::Load: return load(s, n);
    case TileStep::Kind::Index: {
      auto* offsets = s.fn != nullptr ? reinterpret_cast<int64_t*>(memory_ + p_.offsets_at)
                                      : reg<int64_t>(s.out);
      fill_index(offsets, p_.indices[static_cast<size_t>(s.item)], n);
      if (s.fn != nullptr) s.fn(regs_[s.out], offsets, nullptr, nullptr, n);
      return;
    }
    case TileStep::Kind::Chain: return run_chain(s, n);
    case TileStep::Kind::GuardTest: return guard_test(s, n);
    case TileStep::Kind::DeriveScalar: {
      const DerivedPlan& d = p_.derived[static_cast<size_t>(s.item)];
      symbols_[d.symbol] = floor_divided(d);
      return;
    }
    case TileStep::Kind::DeriveTile: {
      const DerivedPlan& d = p_.derived[static_cast<size_t>(s.item)];
      auto* out = reg<int64_t>(s.out);
      fill_index(out, d.numerator, n);
      for (int64_t i = 0; i < n; ++i) out[i] = floor_div(out[i], d.divisor);
      return;
    }
  }
}

void Run::run_chain(const TileStep& s, int64_t n) {
  const std::vector<PlanLink>& chain = p_.chains[static_cast<size_t>(s.item)];
  Link links[kMostLinks];
  for (size_t i = 0; i < chain.size(); ++i) {
    const PlanLink& l = chain[i];
    links[i].code = 4 * static_cast<int>(l.op) + (l.varying[0] ? 1 : 0) + (l.varying[1] ? 2 : 0);
    links[i].b = reg<float>(l.operands[0]);
    links[i].c = l.operands[1] >= 0 ? reg<float>(l.operands[1]) : nullptr;
  }
  p_.chain(links, static_cast<int>(chain.size()), reg<float>(s.out), reg<float>(s.in[0]), n);
}

int64_t Run::floor_divided(const DerivedPlan& d) const {
  return floor_div(base(d.numerator), d.divisor);
}

int64_t Run::base(const TileIndex& x) const {
  int64_t v = x.constant;
  for (const IndexTerm& t : x.terms) v += t.coefficient * symbols_[t.symbol];
  for (const TileIndex::Product& s : x.scalars) v += s.factor * *reg<int64_t>(s.reg);
  return v;
}

void Run::fill_index(int64_t* out, const TileIndex& x, int64_t n) const {
  const int64_t first = base(x), step = x.step;
  for (int64_t i = 0; i < n; ++i) out[i] = first + i * step;
  for (const TileIndex::Product& t : x.tiles) {
    const int64_t* values = reg<int64_t>(t.reg);
    for (int64_t i = 0; i < n; ++i) out[i] += t.factor * values[i];
  }
}

// ---- guards

bool Run::limit(const std::vector<int32_t>& guards, int64_t n, int64_t* first,
                int64_t* last) const {
  *first = 0, *last = n;
  bool elementwise = false;
  for (int32_t id : guards) {
    const TileGuard& g = p_.guards[static_cast<size_t>(id)];
    if (!g.interval) {
      elementwise = true;
      continue;
    }
    const int64_t b = base(g.index), step = g.index.step;
    // With a step that is a multiple of multiple_of, all elements have the remainder of the first.
    if (b % g.multiple_of != 0 || (step == 0 && (b < 0 || b >= g.limit))) *last = 0;
    if (step == 0) continue;
    // 0 <= b + i*step < limit
    const int64_t at_zero = step > 0 ? -floor_div(b, step) : -floor_div(g.limit - 1 - b, -step);
    const int64_t beyond = step > 0 ? -floor_div(b - g.limit, step) : floor_div(b, -step) + 1;
    *first = std::max(*first, at_zero);
    *last = std::min(*last, beyond);
  }
  if (*last < *first) *first = *last = 0;
  return elementwise;
}

void Run::element_mask(const std::vector<int32_t>& guards, int64_t n, uint8_t* mask) const {
  std::fill_n(mask, n, uint8_t{1});
  auto* index = reinterpret_cast<int64_t*>(memory_ + p_.offsets_at);
  for (int32_t id : guards) {
    const TileGuard& g = p_.guards[static_cast<size_t>(id)];
    if (g.interval) continue;
    fill_index(index, g.index, n);
    for (int64_t i = 0; i < n; ++i)
      mask[i] &= static_cast<uint8_t>(index[i] >= 0 && index[i] < g.limit &&
                                      index[i] % g.multiple_of == 0);
  }
}

void Run::guard_test(const TileStep& s, int64_t n) {
  const std::vector<int32_t>& guards = p_.guard_tests[static_cast<size_t>(s.item)];
  auto* out = reg<uint8_t>(s.out);
  int64_t first, last;
  if (limit(guards, n, &first, &last)) element_mask(guards, n, out);
  else std::fill_n(out, n, uint8_t{1});
  std::fill_n(out, first, uint8_t{0});
  std::fill(out + last, out + n, uint8_t{0});
}

// ---- loads and stores

void Run::place_result(bool contiguous) {
  if (p_.stores.empty() || !p_.stores[0].in_place) return;
  const TileStore& s = p_.stores[0];
  const TileAccess& a = s.access;
  regs_[s.value] = contiguous ? static_cast<std::byte*>(args_[a.operand]) + base(a.offset) * a.bytes
                              : memory_ + p_.registers[static_cast<size_t>(s.value)].offset;
}

void Run::load(const TileStep& s, int64_t n) {
  const TileAccess& a = p_.accesses[static_cast<size_t>(s.item)];
  auto* memory = static_cast<std::byte*>(args_[a.operand]);
  int64_t first, last;
  const bool elementwise = limit(a.guards, n, &first, &last);
  const bool regular = a.offset.tiles.empty() && !elementwise;
  const bool whole = first == 0 && last == n;
  if (regular && whole && a.direct && (a.offset.step == 1 || n == 1)) {
    regs_[s.out] = memory + base(a.offset) * a.bytes;
    return;
  }
  // Registers that pointed into memory for the last tile come back to their own place.
  regs_[s.out] = memory_ + p_.registers[static_cast<size_t>(s.out)].offset;
  auto* out = a.convert != nullptr ? memory_ + p_.raw_at + 4 * p_.tile : reg<std::byte>(s.out);
  if (!whole) std::memset(out, 0, static_cast<size_t>(n * a.bytes));
  if (first < last && regular) {
    const int64_t from = base(a.offset) + first * a.offset.step;
    gather_strided(out + first * a.bytes, memory + from * a.bytes, a.offset.step, a.bytes,
                   last - first);
  } else if (first < last) {
    uint8_t* mask = nullptr;
    if (elementwise) {
      mask = reinterpret_cast<uint8_t*>(memory_ + p_.mask_at);
      element_mask(a.guards, n, mask);
      mask += first;
    }
    auto* offsets = reinterpret_cast<int64_t*>(memory_ + p_.offsets_at);
    fill_index(offsets, a.offset, n);
    gather(out + first * a.bytes, memory, offsets + first, mask, a.bytes, last - first);
  }
  if (a.convert != nullptr) a.convert(regs_[s.out], out, nullptr, nullptr, n);
}

void Run::run_stores(int64_t n) {
  for (const TileStore& s : p_.stores) store(s, s.varying ? n : 1);
}

void Run::store(const TileStore& s, int64_t n) {
  const TileAccess& a = s.access;
  auto* memory = static_cast<std::byte*>(args_[a.operand]);
  const bool regular = a.offset.tiles.empty();
  const int64_t from = regular ? base(a.offset) : 0;
  auto* offsets = reinterpret_cast<int64_t*>(memory_ + p_.offsets_at);
  if (!regular) fill_index(offsets, a.offset, n);
  std::byte* to = memory + from * a.bytes;
  if (s.in_place && regs_[s.value] == to) return;
  auto* raw = memory_ + p_.raw_at;

  const void* value = regs_[s.value];
  if (s.combine != nullptr) {
    std::byte* old = raw;
    if (regular) gather_strided(old, to, a.offset.step, a.bytes, n);
    else gather(old, memory, offsets, nullptr, a.bytes, n);
    if (a.convert != nullptr) {
      std::byte* wide = raw + 4 * p_.tile;
      a.convert(wide, old, nullptr, nullptr, n);
      old = wide;
    }
    s.combine(old, old, value, nullptr, n);
    value = old;
  }
  if (s.convert != nullptr && regular && a.offset.step == 1) {
    s.convert(to, value, nullptr, nullptr, n);
    return;
  }
  if (s.convert != nullptr) {
    s.convert(raw, value, nullptr, nullptr, n);
    value = raw;
  }
  if (regular) scatter_strided(to, value, a.offset.step, a.bytes, n);
  else scatter(memory, value, offsets, a.bytes, n);
}

}  // namespace lathe::simd
