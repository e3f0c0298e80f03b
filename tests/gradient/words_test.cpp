// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// 16-bit gradients, which are combined in words of two elements where all memory is contiguous: strided and mixed
/// memory, elements that are not finite, and every border of words, packs and blocks.
#include "hone/gradient/combine.hpp"

#include "hone/gradient/pcgrad.hpp"

#include "gradient/support.hpp"

using namespace hone;
using namespace hone::gradient;

namespace {

/// n elements of @p x, @p stride apart, with others between.
template <class T>
struct spread {
  std::vector<T> memory;
  index_t n, stride;

  spread(const std::vector<T>& x, index_t stride_)
      : memory(x.size() * static_cast<std::size_t>(stride_) + 1, T(99.0f)), n(std::ssize(x)), stride(stride_) {
    for (std::size_t i = 0; i < x.size(); ++i) memory[i * static_cast<std::size_t>(stride)] = x[i];
  }
  [[nodiscard]] vector_view<T> view() { return {memory.data(), n, stride}; }
  /// Whether the elements have the bits of @p x, and those between are as they were.
  [[nodiscard]] bool is(const std::vector<T>& x) const {
    for (std::size_t i = 0; i < memory.size(); ++i) {
      const auto at = i / static_cast<std::size_t>(stride);
      const bool own = i % static_cast<std::size_t>(stride) == 0 && at < x.size();
      if (memory[i].bits != (own ? x[at] : T(99.0f)).bits) return false;
    }
    return true;
  }
};

/// SAGO, element by element in float.
template <class T>
std::vector<T> naive_sago(const std::vector<T>& f, const std::vector<T>& r, const sago& method) {
  std::vector<T> out;
  for (std::size_t i = 0; i < f.size(); ++i) {
    const float x = f[i], y = r[i];
    const bool opposed = (x > 0 && y < 0) || (x < 0 && y > 0);
    out.push_back(T(opposed ? static_cast<float>(method.retain) * y : static_cast<float>(method.forget) * x));
  }
  return out;
}

template <class T>
index_t nonfinite_in(const std::vector<T>& x) {
  index_t count = 0;
  for (const T v : x) count += !std::isfinite(static_cast<float>(v));
  return count;
}

template <class T>
std::vector<T> with_others(index_t n, std::uint32_t stream) {
  std::vector<T> x = normals<T>(n, stream);
  const float infinity = std::numeric_limits<float>::infinity();
  // Even and odd places, the first, the last, and the one after the last whole word.
  const std::pair<index_t, float> others[] = {{0, infinity},  {n - 1, -infinity}, {n / 32 * 32, infinity},
                                              {17, 0.0f},     {40, -0.0f},        {63, -infinity},
                                              {64, infinity}, {4095, infinity},   {4097, -infinity}};
  for (const auto& [at, value] : others)
    if (at >= 0 && at < n && (at + stream) % 3 != 0) x[static_cast<std::size_t>(at)] = T(value);
  return x;
}

}  // namespace

TEMPLATE_TEST_CASE("16-bit SAGO has the bits of its formula in memory of any strides, at every border", "", bfloat16,
                   float16) {
  using T = TestType;
  const sago method{.retain = 0.5, .forget = 1.5};
  for (const index_t n : {1,  15, 16,  17,   31,   32,   33,   47,   63,   64,   65,   95,
                          96, 97, 129, 4095, 4096, 4097, 4128, 4129, 8192, 8193, 8225, 12321}) {
    CAPTURE(n);
    const std::vector<T> f = with_others<T>(n, 1), r = with_others<T>(n, 2), expected = naive_sago(f, r, method);
    for (const int strides : {0, 1, 2, 4, 3, 5, 6, 7}) {  // which of forget, retain and out are strided
      if (n > 4129 && strides % 3 != 0) continue;
      CAPTURE(strides);
      spread<T> forget(f, strides & 1 ? 2 : 1), retain(r, strides & 2 ? 3 : 1);
      spread<T> out(std::vector<T>(f.size()), strides & 4 ? 2 : 1);
      const auto report = combine(method, tasks(forget.view(), retain.view()), out.view());
      CHECK(out.is(expected));
      CHECK(report.nonfinite == std::array{nonfinite_in(f), nonfinite_in(r)});
      CHECK(forget.is(f));
      CHECK(retain.is(r));
    }
    std::vector<T> in_place = r;  // over the retain gradient, and into float
    const auto over = combine(method, tasks(f, in_place), in_place);
    CHECK(spread<T>(in_place, 1).is(expected));
    CHECK(over.nonfinite == std::array{nonfinite_in(f), nonfinite_in(r)});
    std::vector<float> wide(f.size());
    const auto report = combine(method, tasks(f, r), wide);
    std::vector<T> narrow;
    for (const float x : wide) narrow.push_back(T(x));
    CHECK(spread<T>(narrow, 1).is(expected));
    CHECK(report.nonfinite == std::array{nonfinite_in(f), nonfinite_in(r)});
  }
}

TEMPLATE_TEST_CASE("weighted sums of three 16-bit gradients have the bits of float arithmetic, in any memory", "",
                   bfloat16, float16) {
  using T = TestType;
  const std::array<double, 3> w = {0.5, -2, 0.25};  // exact in float; powers of two, so that fused products are too
  for (const index_t n : {1, 31, 32, 33, 65, 95, 96, 97, 4097, 8225}) {
    CAPTURE(n);
    const std::vector<T> a = with_others<T>(n, 3), b = with_others<T>(n, 4), c = with_others<T>(n, 5);
    std::vector<T> expected;
    for (std::size_t i = 0; i < a.size(); ++i)
      expected.push_back(T(0.5f * float(a[i]) + -2.0f * float(b[i]) + 0.25f * float(c[i])));
    for (int strides = 0; strides < 16; ++strides) {
      CAPTURE(strides);
      spread<T> x(a, strides & 1 ? 2 : 1), y(b, strides & 2 ? 2 : 1), z(c, strides & 4 ? 2 : 1);
      spread<T> out(std::vector<T>(a.size()), strides & 8 ? 2 : 1);
      weighted_sum(w, tasks(x.view(), y.view(), z.view()), out.view());
      bool same = true;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const T got = out.view()[static_cast<index_t>(i)];
        same = same &&
               (got.bits == expected[i].bits || (float(got) != float(got) && float(expected[i]) != float(expected[i])));
      }
      CHECK(same);
    }
  }
}
