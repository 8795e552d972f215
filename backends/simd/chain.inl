// Chains of links on one running value, which stays in registers: eight vectors at a time.

constexpr int link_code(LinkOp op, bool b, bool c = false) {
  return 4 * static_cast<int>(op) + (b ? 1 : 0) + (c ? 2 : 0);
}

template <bool Varying>
LATHE_INLINE Batch<float> link_operand(const float* p, int64_t i) {
  if constexpr (Varying) return Batch<float>::load_unaligned(p + i);
  else return Batch<float>(*p);
}

// Named, not an array: what is indexed in a loop around a switch is kept in memory.
struct EightVectors {
  Batch<float> a, b, c, d, e, f, g, h;
  template <class F>
  LATHE_INLINE void each(F&& make) {
    make(a, 0), make(b, kVector), make(c, 2 * kVector), make(d, 3 * kVector);
    make(e, 4 * kVector), make(f, 5 * kVector), make(g, 6 * kVector), make(h, 7 * kVector);
  }
};
struct OneVector {
  Batch<float> a;
  template <class F>
  LATHE_INLINE void each(F&& make) {
    make(a, 0);
  }
};

// x = V::of of x and b, or of b and x.
template <class V, bool First, bool Varying, class Vectors>
LATHE_INLINE void link_two(Vectors& x, const Link& l, int64_t i) {
  x.each([&](Batch<float>& v, int at) __attribute__((always_inline)) {
    const Batch<float> b = link_operand<Varying>(l.b, i + at);
    v = First ? V::of(v, b, b) : V::of(b, v, b);
  });
}
// x = x * b + c, or b * c + x.
template <bool Factor, bool VaryingB, bool VaryingC, class Vectors>
LATHE_INLINE void link_fma(Vectors& x, const Link& l, int64_t i) {
  x.each([&](Batch<float>& v, int at) __attribute__((always_inline)) {
    const Batch<float> b = link_operand<VaryingB>(l.b, i + at);
    const Batch<float> c = link_operand<VaryingC>(l.c, i + at);
    v = Factor ? FmaV::of(v, b, c) : FmaV::of(b, c, v);
  });
}

using LessV = ChooseV<Scalar::Lt, 0, 1>;
using MoreV = ChooseV<Scalar::Lt, 1, 0>;
using LeastV = ChooseV<Scalar::Le, 0, 1>;
using MostV = ChooseV<Scalar::Le, 1, 0>;

template <class Vectors>
LATHE_INLINE void chain_block(const Link* links, int count, float* out, const float* in,
                              int64_t i) {
  Vectors x;
  x.each([&](Batch<float>& v, int at)
             __attribute__((always_inline)) { v = Batch<float>::load_unaligned(in + i + at); });
#define LATHE_LINK(op, V, first)                                                 \
  case link_code(LinkOp::op, false): link_two<V, first, false>(x, *l, i); break; \
  case link_code(LinkOp::op, true): link_two<V, first, true>(x, *l, i); break;
#define LATHE_FMA_LINK(op, factor)                                                           \
  case link_code(LinkOp::op, false, false): link_fma<factor, false, false>(x, *l, i); break; \
  case link_code(LinkOp::op, true, false): link_fma<factor, true, false>(x, *l, i); break;   \
  case link_code(LinkOp::op, false, true): link_fma<factor, false, true>(x, *l, i); break;   \
  case link_code(LinkOp::op, true, true): link_fma<factor, true, true>(x, *l, i); break;
  for (const Link* l = links; l < links + count; ++l) switch (l->code) {
      LATHE_LINK(Add, AddV, true)
      LATHE_LINK(Sub, SubV, true)
      LATHE_LINK(SubFrom, SubV, false)
      LATHE_LINK(Mul, MulV, true)
      LATHE_LINK(Div, DivV, true)
      LATHE_LINK(DivInto, DivV, false)
      LATHE_LINK(Max, MaxV, true)
      LATHE_LINK(MaxOf, MaxV, false)
      LATHE_LINK(Min, MinV, true)
      LATHE_LINK(MinOf, MinV, false)
      LATHE_LINK(IfLess, LessV, true)
      LATHE_LINK(IfMore, MoreV, false)
      LATHE_LINK(UnlessLess, MoreV, true)
      LATHE_LINK(UnlessMore, LessV, false)
      LATHE_LINK(IfLeast, LeastV, true)
      LATHE_LINK(IfMost, MostV, false)
      LATHE_LINK(UnlessLeast, MostV, true)
      LATHE_LINK(UnlessMost, LeastV, false)
      LATHE_FMA_LINK(FmaFactor, true)
      LATHE_FMA_LINK(FmaSum, false)
      default: break;
    }
#undef LATHE_LINK
#undef LATHE_FMA_LINK
  x.each([&](Batch<float>& v, int at)
             __attribute__((always_inline)) { v.store_unaligned(out + i + at); });
}

// The last partial vector goes through buffers.
void chain(const Link* links, int count, float* out, const float* in, int64_t n) {
  int64_t i = 0;
  for (; i + 8 * kVector <= n; i += 8 * kVector)
    chain_block<EightVectors>(links, count, out, in, i);
  for (; i + kVector <= n; i += kVector) chain_block<OneVector>(links, count, out, in, i);
  if (i == n) return;
  alignas(64) float buffers[2 * kMostLinks + 1][kVector];
  Link last[kMostLinks];
  int used = 0;
  const auto copied = [&](const float* from) {
    float* buffer = buffers[used++];
    for (int j = 0; j < kVector; ++j) buffer[j] = i + j < n ? from[i + j] : 1.0f;
    return buffer;
  };
  for (int l = 0; l < count; ++l) {
    last[l] = links[l];
    if ((last[l].code & 1) != 0) last[l].b = copied(last[l].b);
    if ((last[l].code & 2) != 0) last[l].c = copied(last[l].c);
  }
  float* x = copied(in);
  chain_block<OneVector>(last, count, x, x, 0);
  for (int j = 0; i + j < n; ++j) out[i + j] = x[j];
}
