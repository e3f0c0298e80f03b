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
/// needs no permutation, and the vectors beside them are ordered by `word_place`.
template <scalar T>
bool reads_words(const matrix_view<const T>& z, bool standardised) {
  return simd::has_words<T> && !standardised && z.col_stride() == 1;
}

/// Where element @p j of @p d lies among words.
inline index_t word_place(index_t j, index_t d) {
  const index_t block = j / 32 * 32, i = j - block;
  return block + 32 > d ? j : block + i % 2 * 16 + i / 2;
}

/// What a pass over layers does with z_l: u[l] = <z_l, w>, f += c[l] z_l, or both; or f = max(f, z_l), and u[l] = 0,
/// NaN where z_l is not finite.
enum class layer_pass : std::uint8_t { multiply, combine, both, largest };

/// The pass over R layers at once: what is read beside them is read once, and stays in the first cache.
template <std::size_t R, layer_pass Pass, bool Words, scalar T, class Load>
HONE_INLINE void pass_layers(const sample_states<T>& states, Load&& load, const accumulator_t<T>* w, const index_t* l,
                             const double* c, double* u, accumulator_t<T>* f) {
  using A = accumulator_t<T>;
  using packs = simd::pack<A>;
  constexpr index_t lanes = packs::lanes;
  constexpr bool largest = Pass == layer_pass::largest, multiplies = Pass != layer_pass::combine,
                 weighs = multiplies && !largest, combines = Pass != layer_pass::multiply;
  const index_t d = states.z.cols();
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
        for (std::size_t r = 0; r < R; ++r) {
          packs z[2];
          for (std::size_t ahead = 1024; ahead < 1024 + 2 * lanes * sizeof(T); ahead += 64)  // few pages long: by hand
            simd::prefetch(&states.z(l[r], i), static_cast<index_t>(ahead));
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

/// The pass over @p layers, eight at a time. w and f are in words' order if @c Words.
template <layer_pass Pass, bool Words = false, scalar T>
void pass_over(const sample_states<T>& states, const accumulator_t<T>* w, std::span<const index_t> layers,
               const double* c, double* u, accumulator_t<T>* f) {
  if constexpr (Pass != layer_pass::multiply)
    fill(vector_view<accumulator_t<T>>(f, states.z.cols()),
         Pass == layer_pass::largest ? -std::numeric_limits<accumulator_t<T>>::infinity() : accumulator_t<T>{0});
  states.visit([&](auto&& load) HONE_INLINE_LAMBDA {
    std::size_t at = 0;
    for (; at + 8 <= layers.size(); at += 8) pass_layers<8, Pass, Words>(states, load, w, &layers[at], c, u, f);
    for (; at + 4 <= layers.size(); at += 4) pass_layers<4, Pass, Words>(states, load, w, &layers[at], c, u, f);
    for (; at < layers.size(); ++at) pass_layers<1, Pass, Words>(states, load, w, &layers[at], c, u, f);
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
