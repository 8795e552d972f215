#include "backends/simd/registers.h"

#include <algorithm>
#include <map>

namespace lathe::simd {
namespace {

constexpr int64_t kTileBudget = 20 << 10;  // bytes of registers that should stay in L1
constexpr int64_t kLongestTile = 512, kShortestTile = 64;

// One place per simultaneous value: a register used only inside the list that computes it is free
// again after its last use there; the others keep their place.
class Placement {
 public:
  Placement(Plan& p, Level stores_at) : p_(p), last_(p.registers.size()) {
    for (int l = 0; l < kLevels; ++l) scan(l);
    for (const TileFold& f : p.folds) pin(f.acc), pin(f.a), pin(f.b);
    const int end = static_cast<int>(stores_at);
    for (const TileStore& s : p.stores) {
      use(s.value, end, kEnd);
      use_index(s.access.offset, end, kEnd);
    }
  }

  void run() {
    // Accumulators and what is kept first: they live through all lists, so no freed place will do.
    for (const TileFold& f : p_.folds)
      if (!p_.registers[static_cast<size_t>(f.acc)].external) place(f.acc);
    for (const auto& list : p_.lists)
      for (const TileStep& s : list)
        if (s.kept >= 0) place(s.out);
    for (int l = 0; l < kLevels; ++l) {
      std::vector<std::vector<Reg>> dying(p_.lists[l].size());
      for (size_t i = 0; i < p_.lists[l].size(); ++i) {
        const Reg out = p_.lists[l][i].out;
        if (out < 0) continue;
        place(out);
        const Life& life = last_[static_cast<size_t>(out)];
        if (!life.pinned && life.at != kEnd) dying[static_cast<size_t>(life.at)].push_back(out);
        for (Reg dead : dying[i]) release(dead);
      }
    }
  }

  // Elements of one byte width times the tile length, plus scalars.
  int64_t tile_bytes() const { return tile_bytes_; }
  int64_t scalar_bytes() const { return scalar_bytes_; }

  // Offsets were in bytes per element; turns them into bytes.
  void fix_offsets(int64_t tile) {
    for (Register& r : p_.registers) {
      if (r.constant || r.external) continue;
      if (r.varying) r.offset = scalar_bytes_ + r.offset * tile;
    }
  }

 private:
  static constexpr int64_t kEnd = INT64_MAX;
  struct Life {
    int list = -1;
    int64_t at = -1;
    bool pinned = false;
  };

  void use(Reg r, int list, int64_t at) {
    if (r < 0) return;
    Life& life = last_[static_cast<size_t>(r)];
    if (life.list != list) life.pinned = true;
    else life.at = std::max(life.at, at);
  }
  void pin(Reg r) {
    if (r >= 0) last_[static_cast<size_t>(r)].pinned = true;
  }
  void use_index(const TileIndex& x, int list, int64_t at) {
    for (const auto& t : x.scalars) use(t.reg, list, at);
    for (const auto& t : x.tiles) use(t.reg, list, at);
  }
  void use_guards(const std::vector<int32_t>& guards, int list, int64_t at) {
    for (int32_t g : guards) use_index(p_.guards[static_cast<size_t>(g)].index, list, at);
  }

  void scan(int l) {
    for (size_t i = 0; i < p_.lists[l].size(); ++i) {
      const TileStep& s = p_.lists[l][i];
      const auto at = static_cast<int64_t>(i);
      const auto item = static_cast<size_t>(s.item);
      for (Reg r : s.in) use(r, l, at);
      switch (s.kind) {
        case TileStep::Kind::Load:
          use_index(p_.accesses[item].offset, l, at);
          use_guards(p_.accesses[item].guards, l, at);
          break;
        case TileStep::Kind::Index: use_index(p_.indices[item], l, at); break;
        case TileStep::Kind::GuardTest: use_guards(p_.guard_tests[item], l, at); break;
        case TileStep::Kind::DeriveScalar:
        case TileStep::Kind::DeriveTile: use_index(p_.derived[item].numerator, l, at); break;
        case TileStep::Kind::Chain:
          for (const PlanLink& link : p_.chains[item])
            for (const Reg r : link.operands) use(r, l, at);
          break;
        case TileStep::Kind::Compute:
        case TileStep::Kind::Splat: break;
      }
      if (s.out >= 0) last_[static_cast<size_t>(s.out)] = {l, at, s.kept >= 0};
    }
  }

  void place(Reg id) {
    Register& r = p_.registers[static_cast<size_t>(id)];
    if (r.constant || r.offset >= 0) return;
    const int64_t bytes = r.bytes * r.lanes;
    if (!r.varying) {
      r.offset = scalar_bytes_;
      scalar_bytes_ += (bytes + 63) / 64 * 64;
      return;
    }
    std::vector<int64_t>& free = free_[bytes];
    if (!free.empty()) {
      r.offset = free.back();
      free.pop_back();
    } else {
      r.offset = tile_bytes_;
      tile_bytes_ += bytes;
    }
  }
  void release(Reg id) {
    const Register& r = p_.registers[static_cast<size_t>(id)];
    if (r.varying) free_[r.bytes * r.lanes].push_back(r.offset);
  }

  Plan& p_;
  std::vector<Life> last_;
  std::map<int64_t, std::vector<int64_t>> free_;  // by bytes an element
  int64_t tile_bytes_ = 0, scalar_bytes_ = 0;
};

// Elements that a tile could ever hold.
int64_t most_elements(const Plan& p) {
  if (p.joins_rows) return p.k.points();
  const auto par = static_cast<SymbolId>(p.k.par.size());
  return p.vector < par ? p.k.par[static_cast<size_t>(p.vector)]
                        : p.k.red[static_cast<size_t>(p.vector - par)];
}

}  // namespace

void place_registers(Plan& p, Level stores_at) {
  Placement placement(p, stores_at);
  placement.run();
  if (p.vector >= 0) {
    int64_t tile = kTileBudget / std::max<int64_t>(placement.tile_bytes(), 1);
    tile = std::clamp(tile, kShortestTile, kLongestTile) / kLanes * kLanes;
    p.tile =
        std::min(tile, (std::max<int64_t>(most_elements(p), 1) + kLanes - 1) / kLanes * kLanes);
  }
  placement.fix_offsets(p.tile);
  int64_t at = placement.scalar_bytes() + placement.tile_bytes() * p.tile;
  const auto reserve = [&](int64_t bytes) {
    const int64_t start = (at + 63) / 64 * 64;
    at = start + bytes;
    return start;
  };
  p.offsets_at = reserve(8 * p.tile);
  p.mask_at = reserve(p.tile);
  p.raw_at = reserve(8 * p.tile);
  p.scratch_bytes = reserve(0);
}

}  // namespace lathe::simd
