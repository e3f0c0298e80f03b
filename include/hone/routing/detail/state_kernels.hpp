// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The three passes over one sample's states (L x d): products of every layer with a vector, a weighted sum of the
/// layers, both in one, and their largest elements. Each is one read, in the accumulator type by lanes, double beyond a
/// block.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/core/packs.hpp"

#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>

namespace HONE_NAMESPACE::routing::detail {

/// States that are standardised as they are read, (z - mean) inverse; means and inverses are L x d, or none.
template <scalar T>
struct sample_states {
  using A = accumulator_t<T>;
  matrix_view<const T> z;
  const A* mean = nullptr;
  const A* inverse = nullptr;
  matrix_view<const T> next = z;  ///< the sample that is read after this one, to be prefetched

  /// Calls f(load) with load(l, i, bound), the pack of layer l at i.
  template <class F>
  HONE_INLINE void visit(F&& f) const {
    if (mean == nullptr)
      f([this](index_t l, index_t i, auto bound) HONE_INLINE_LAMBDA { return load_pack(z.row(l), i, bound); });
    else
      f([this](index_t l, index_t i, auto bound) HONE_INLINE_LAMBDA {
        const vector_view<const A> m(mean + l * z.cols(), z.cols()), s(inverse + l * z.cols(), z.cols());
        return (load_pack(z.row(l), i, bound) - load_pack(m, i, bound)) * load_pack(s, i, bound);
      });
  }
};

/// Whether a sample's 16-bit states can be read by words, 32 elements as those at even and those at odd places: that
/// needs no permutation, and the vectors beside them are ordered by `order_by_words`.
template <scalar T>
bool reads_words(const matrix_view<const T>& z, bool standardised) {
  return simd::has_words<T> && !standardised && z.col_stride() == 1;
}

/// to <- the d elements at @p from as they lie among words; or back.
template <bool Back, class X>
void order_by_words(const X* from, index_t d, X* to) {
  index_t block = 0;
  for (; block + 32 <= d; block += 32)
    for (index_t i = 0; i < 16; ++i)
      for (index_t side = 0; side < 2; ++side) {
        const index_t apart = block + 16 * side + i, joined = block + 2 * i + side;
        if constexpr (Back)
          to[joined] = from[apart];
        else
          to[apart] = from[joined];
      }
  for (; block < d; ++block) to[block] = from[block];
}

/// What a pass over layers does with z_l: u[l] = <z_l, w>, f += c[l] z_l, or both; or f = max(f, z_l), and u[l] = 0,
/// NaN where z_l is not finite.
enum class layer_pass : std::uint8_t { multiply, combine, both, largest };

/// The pass over R layers at once: what is read beside them is read once, and stays in the first cache. Lines are
/// prefetched by hand, as rows are few pages long: those of the same rows and, past their ends, of the rows from
/// @p next on; where this sample was read before, the first quarter of the next.
template <std::size_t R, layer_pass Pass, bool Words, scalar T, class Load>
HONE_INLINE void pass_layers(const sample_states<T>& states, Load&& load, const accumulator_t<T>* w, const index_t* l,
                             const void* next, const double* c, double* u, accumulator_t<T>* f) {
  using A = accumulator_t<T>;
  using packs = simd::pack<A>;
  constexpr index_t lanes = packs::lanes;
  constexpr bool largest = Pass == layer_pass::largest, multiplies = Pass != layer_pass::combine,
                 weighs = multiplies && !largest, combines = Pass != layer_pass::multiply;
  constexpr index_t ahead = 1024, step = 2 * lanes * index_t{sizeof(T)};
  const index_t d = states.z.cols(), bytes = d * index_t{sizeof(T)},
                jump = static_cast<index_t>(reinterpret_cast<std::uintptr_t>(next) -
                                            reinterpret_cast<std::uintptr_t>(&states.z(l[0], 0))) -
                       bytes + ahead;
  const vector_view<const A> ws(w, d);
  const vector_view<A> out(f, d);
  packs factor[R];
  double total[R] = {};
  for (std::size_t r = 0; r < R; ++r) factor[r] = packs(combines && !largest ? static_cast<A>(c[l[r]]) : A{0});
  for (index_t begin = 0; begin < d; begin += block_size) {
    const index_t end = (min)(begin + block_size, d);
    packs sums[R][2];
    for (std::size_t r = 0; r < R; ++r) sums[r][0] = sums[r][1] = packs(0);
    index_t i = begin;
    if (states.z.col_stride() == 1)
      for (; end - i >= 2 * lanes; i += 2 * lanes) {
        packs weight[2], sum[2];
        for (index_t k = 0; k < 2; ++k) {
          weight[k] = packs(0);
          if constexpr (weighs) weight[k] = load_pack(ws, i + k * lanes, whole_pack{});
          if constexpr (combines) sum[k] = load_pack(out, i + k * lanes, whole_pack{});
        }
        const index_t distance = i * index_t{sizeof(T)} + ahead < bytes ? ahead : jump;
        for (std::size_t r = 0; r < R; ++r) {
          packs z[2];
          for (index_t line = 0; line < step; line += 64)
            if constexpr (Pass != layer_pass::combine)
              simd::prefetch(&states.z(l[r], i), distance + line);
            else if (r % 4 == 0)
              simd::prefetch(&states.next(l[r] / 4, i), line);
          if constexpr (Words) {
            const auto words = simd::words<std::remove_const_t<T>>::load(&states.z(l[r], i));
            z[0] = words.even();
            z[1] = words.odd();
          } else {
            z[0] = load(l[r], i, whole_pack{});
            z[1] = load(l[r], i + lanes, whole_pack{});
          }
          for (index_t k = 0; k < 2; ++k) {
            if constexpr (multiplies) sums[r][k] += z[k] * weight[k];
            if constexpr (largest)
              sum[k] = (simd::max)(sum[k], z[k]);
            else if constexpr (combines)
              sum[k] += factor[r] * z[k];
          }
        }
        if constexpr (combines)
          for (index_t k = 0; k < 2; ++k) store_pack(out, i + k * lanes, whole_pack{}, sum[k]);
      }
    for (; i < end; i += lanes)
      for (std::size_t r = 0; r < R; ++r) {
        const packs z = load(l[r], i, end);
        if constexpr (multiplies) sums[r][0] += z * (weighs ? load_pack(ws, i, end) : packs(0));
        if constexpr (largest)
          store_pack(out, i, end, (simd::max)(load_pack(out, i, end), z));
        else if constexpr (combines)
          store_pack(out, i, end, load_pack(out, i, end) + factor[r] * z);
      }
    for (std::size_t r = 0; r < R; ++r) total[r] += static_cast<double>(simd::horizontal_sum(sums[r][0] + sums[r][1]));
  }
  if constexpr (multiplies)
    for (std::size_t r = 0; r < R; ++r) u[l[r]] = total[r];
}

/// The pass over @p layers, eight or nine at a time. w and f are in words' order if @c Words.
template <layer_pass Pass, bool Words = false, scalar T>
void pass_over(const sample_states<T>& states, const accumulator_t<T>* w, std::span<const index_t> layers,
               const double* c, double* u, accumulator_t<T>* f) {
  if constexpr (Pass != layer_pass::multiply)
    fill(vector_view<accumulator_t<T>>(f, states.z.cols()),
         Pass == layer_pass::largest ? -std::numeric_limits<accumulator_t<T>>::infinity() : accumulator_t<T>{0});
  states.visit([&](auto&& load) HONE_INLINE_LAMBDA {
    std::size_t at = 0;
    const auto take = [&]<std::size_t R>(std::integral_constant<std::size_t, R>, std::size_t times) HONE_INLINE_LAMBDA {
      for (; times > 0; --times, at += R) {
        const bool last = at + R == layers.size();
        const void* next = last ? &states.next(layers[0], 0) : &states.z(layers[at + R], 0);
        pass_layers<R, Pass, Words>(states, load, w, &layers[at], next, c, u, f);
      }
    };
    const std::size_t n = layers.size(), nine = n > 8 && n % 8 == 1 ? 1 : 0;  // a layer alone is slow
    take(std::integral_constant<std::size_t, 8>(), n / 8 - nine);
    take(std::integral_constant<std::size_t, 9>(), nine);
    take(std::integral_constant<std::size_t, 4>(), (n - at) / 4);
    take(std::integral_constant<std::size_t, 1>(), n - at);
  });
}

/// The same, by words or not as @p words says.
template <layer_pass Pass, scalar T>
void pass_over(bool words, const sample_states<T>& states, const accumulator_t<T>* w, std::span<const index_t> layers,
               const double* c, double* u, accumulator_t<T>* f) {
  if constexpr (simd::has_words<T>)
    if (words) return pass_over<Pass, true>(states, w, layers, c, u, f);
  pass_over<Pass, false>(states, w, layers, c, u, f);
}

/// u[l] <- <z_l, w>, for l in @p layers.
template <scalar T>
void multiply_layers(const sample_states<T>& states, const accumulator_t<T>* w, std::span<const index_t> layers,
                     std::span<double> u) {
  pass_over<layer_pass::multiply>(states, w, layers, nullptr, u.data(), nullptr);
}

/// f <- sum over l in @p layers of c[l] z_l (d).
template <scalar T>
void combine_layers(const sample_states<T>& states, std::span<const double> c, std::span<const index_t> layers,
                    accumulator_t<T>* f) {
  pass_over<layer_pass::combine>(states, nullptr, layers, c.data(), nullptr, f);
}

}  // namespace HONE_NAMESPACE::routing::detail
