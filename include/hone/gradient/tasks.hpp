// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The gradients of K tasks with respect to the same n parameters, and what they say about each other.
#pragma once
#include "hone/core/blas.hpp"
#include "hone/linalg/gram_rows.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace HONE_NAMESPACE::gradient {

/// K gradients of n elements each. Two-task methods read task 0 as *forget* (what gives way) and task 1 as *retain*
/// (what is protected); the others treat all tasks alike.
template <scalar T, std::size_t K>
struct task_gradients {
  std::array<vector_view<const T>, K> task;

  [[nodiscard]] constexpr index_t size() const { return task[0].size(); }
  [[nodiscard]] constexpr task_gradients slice(index_t begin, index_t count) const {
    task_gradients result = *this;
    for (auto& g : result.task) g = g.subvector(begin, count);
    return result;
  }
};

/// The gradients in @p first, @p rest …: vectors of one element type and size, nothing copied.
/// @throws std::invalid_argument if the sizes differ.
template <vector_like First, vector_like... Rest>
auto tasks(const First& first, const Rest&... rest) {
  using T = element_t<First>;
  static_assert((std::is_same_v<T, element_t<Rest>> && ...), "hone::gradient::tasks: the element types differ");
  const task_gradients<T, 1 + sizeof...(Rest)> result{{as_vector(first), as_vector(rest)...}};
  for (std::size_t i = 1; i < result.task.size(); ++i)
    invalid_argument_unless(result.task[i].size() == result.size(), "hone::gradient::tasks", "rest",
                            "gradient %zu has %td elements, gradient 0 has %td", i, result.task[i].size(),
                            result.size());
  return result;
}

/// A gradient of @p n zeros in no memory, for parameters that one task does not reach.
template <scalar T>
vector_view<const T> zero_gradient(index_t n) {
  static constexpr T zero{};
  return {&zero, n, 0};
}

/// Inner products of K gradients, symmetric, and how exact they are.
template <std::size_t K>
struct gram_matrix {
  std::array<std::array<double, K>, K> value{};
  /// No product is further than this times |g_i| |g_j| from what it should be: set it where products come from
  /// elsewhere, in float, say.
  double error = 0;

  constexpr double operator()(std::size_t i, std::size_t j) const { return value[i][j]; }
  /// The Gram matrix of gradients laid end to end is the sum of those of the pieces.
  constexpr gram_matrix& operator+=(const gram_matrix& other) {
    for (std::size_t i = 0; i < K; ++i)
      for (std::size_t j = 0; j < K; ++j) value[i][j] += other.value[i][j];
    error = (max)(error, other.error);
    return *this;
  }
  /// The share of the largest below which eigenvalues may be rounding: they count as zero.
  [[nodiscard]] constexpr double tolerance() const { return (max)(linalg::rank_tolerance, K * error); }
  [[nodiscard]] bool finite() const {
    for (const auto& row : value)
      for (const double x : row)
        if (!std::isfinite(x)) return false;
    return true;
  }
  /// <g_i, g_w> of the combination g_w = sum_j w_j g_j.
  [[nodiscard]] constexpr double dot(std::size_t i, const std::array<double, K>& w) const {
    double sum = 0;
    for (std::size_t j = 0; j < K; ++j) sum += value[i][j] * w[j];
    return sum;
  }
  /// |g_w|^2, which rounding never makes negative.
  [[nodiscard]] constexpr double squared_norm(const std::array<double, K>& w) const {
    double sum = 0;
    for (std::size_t i = 0; i < K; ++i) sum += w[i] * dot(i, w);
    return sum < 0 ? 0 : sum;
  }
};

/// Weights of a method whose small problem is solved by iteration.
template <std::size_t K>
struct solved_weights : std::array<double, K> {
  bool converged = true;  ///< false: the solver's certificate is not good enough; these are the method's fallback
};

namespace detail {

/// for_each_pack over the K gradients and, when it writes memory, the output.
template <scalar T, std::size_t K, class F, scalar... Out>
HONE_INLINE void for_each_task_pack(const std::array<vector_view<const T>, K>& g, index_t begin, index_t end, F&& f,
                                    const vector_view<Out>&... out) {
  [&]<std::size_t... Index>(std::index_sequence<Index...>) HONE_INLINE_LAMBDA {  // std::apply is not always inlined
    for_each_pack<pack_of<T>::lanes>(begin, end, f, g[Index]..., out...);
  }(std::make_index_sequence<K>{});
}

/// Where the product of tasks a <= b is in the upper triangle, row by row.
template <std::size_t K>
constexpr std::size_t pair_index(std::size_t a, std::size_t b) {
  return a * K - a * (a + 1) / 2 + b;
}

/// f(packs of Sum) for the elements of @p x: as they are, or widened half after half.
template <class Sum, class A, std::size_t N, class F>
HONE_INLINE void for_each_part(const simd::pack<A> (&x)[N], F&& f) {
  if constexpr (std::is_same_v<Sum, A>) {
    f(x);
  } else {
    simd::pack<double> low[N], high[N];
    for (std::size_t a = 0; a < N; ++a) low[a] = simd::widen(x[a]).low;
    f(low);
    for (std::size_t a = 0; a < N; ++a) high[a] = simd::widen(x[a]).high;
    f(high);
  }
}

/// Tasks whose products with as many others are summed in one go: what vector registers hold.
inline constexpr std::size_t gram_tile = 4;

/// How many bytes after the elements being multiplied lie those prefetched meanwhile, as the processor's own
/// prefetching leaves memory idle while the later tiles read from cache; and, before that, one of every page, for whose
/// address all that follow would wait.
inline constexpr index_t gram_ahead = 5 << 10, gram_page_ahead = 12 << 10;

/// Adds the products of tasks A … with tasks B … to @p sums, a tile of the triangle.
template <std::size_t A, std::size_t B, class Sum, scalar T, std::size_t K>
HONE_INLINE void add_gram_tile(const std::array<vector_view<const T>, K>& g, index_t begin, index_t end,
                               simd::pack<Sum>* sums) {
  constexpr std::size_t rows = (min)(gram_tile, K - A), columns = A == B ? 0 : (min)(gram_tile, K - B);
  constexpr std::size_t first = A == B ? 0 : rows;  // of B's tasks
  simd::pack<Sum> own[rows][rows + columns];
  for (std::size_t a = 0; a < rows; ++a)
    for (std::size_t b = A == B ? a : rows; b < rows + columns; ++b)
      own[a][b] = sums[pair_index<K>(A + a, B + b - first)];
  // Where products and not memory take the time; each of several tiles asks for its share of the tasks.
  constexpr std::size_t side = (K + gram_tile - 1) / gram_tile, tiles = side * (side + 1) / 2;
  constexpr std::size_t number = pair_index<side>(A / gram_tile, B / gram_tile);
  constexpr bool busy = tiles > 1 || !std::is_same_v<Sum, double>;
  constexpr std::size_t share = number * K / tiles, share_end = busy ? (number + 1) * K / tiles : 0;
  for_each_task_pack(g, begin, end, [&](index_t i, auto bound) HONE_INLINE_LAMBDA {
    for (std::size_t a = share; a < share_end; ++a) simd::prefetch(&g[a][i], gram_ahead);
    pack_of<T> x[rows + columns];
    for (std::size_t a = 0; a < rows; ++a) x[a] = load_pack(g[A + a], i, bound);
    for (std::size_t b = 0; b < columns; ++b) x[rows + b] = load_pack(g[B + b], i, bound);
    if constexpr (A != B)
      for (auto& p : x) simd::hold(p);
    for_each_part<Sum>(x, [&](const simd::pack<Sum>(&y)[rows + columns]) HONE_INLINE_LAMBDA {
      for (std::size_t a = 0; a < rows; ++a)
        for (std::size_t b = A == B ? a : rows; b < rows + columns; ++b) own[a][b] += y[a] * y[b];
    });
  });
  for (std::size_t a = 0; a < rows; ++a)
    for (std::size_t b = A == B ? a : rows; b < rows + columns; ++b)
      sums[pair_index<K>(A + a, B + b - first)] = own[a][b];
}

template <std::size_t A, std::size_t B, class Sum, scalar T, std::size_t K>
HONE_INLINE void add_gram_tiles(const std::array<vector_view<const T>, K>& g, index_t begin, index_t end,
                                simd::pack<Sum>* sums) {
  add_gram_tile<A, B>(g, begin, end, sums);
  if constexpr (B + gram_tile < K)
    add_gram_tiles<A, B + gram_tile>(g, begin, end, sums);
  else if constexpr (A + gram_tile < K)
    add_gram_tiles<A + gram_tile, A + gram_tile>(g, begin, end, sums);
}

/// Adds the products of a piece, summed in float, to the sums in double, if no gradient's square is so small or so
/// large that one of them may have under- or overflowed. What underflows is then below 2^-40 of what is summed.
template <scalar T, std::size_t K>
HONE_INLINE bool add_gram_in_float(const std::array<vector_view<const T>, K>& g, index_t begin, index_t end,
                                   simd::pack<double>* sums) {
  constexpr std::size_t pairs = K * (K + 1) / 2;
  simd::pack<float> products[pairs];
  for (auto& p : products) p = simd::pack<float>(0);
  for (const auto& x : g) simd::prefetch(&x[begin], gram_page_ahead);
  add_gram_tiles<0, 0>(g, begin, end, products);
  for (std::size_t a = 0; a < K; ++a) {
    const float square = simd::horizontal_sum(products[pair_index<K>(a, a)]);
    if (!(square > 0x1p-100f && square < 0x1p120f)) return false;
  }
  for (std::size_t t = 0; t < pairs; ++t) {
    const simd::double_halves wide = simd::widen(products[t]);
    sums[t] += wide.low + wide.high;
  }
  return true;
}

/// Whether products are at first summed in float, where the double-precision units would be the bound.
template <scalar T, std::size_t K>
inline constexpr bool gram_in_float = std::is_same_v<accumulator_t<T>, float> && (K > gram_tile || sizeof(T) == 2);

/// Adds the upper triangle, row by row, of the Gram matrix of elements [begin, end).
template <bool Exact, scalar T, std::size_t K>
HONE_INLINE void add_gram_block(const std::array<vector_view<const T>, K>& g, index_t begin, index_t end,
                                double* sums) {
  constexpr std::size_t pairs = K * (K + 1) / 2;
  constexpr bool in_float = gram_in_float<T, K> && !Exact;
  simd::pack<double> products[pairs];
  for (auto& p : products) p = simd::pack<double>(0);
  // A piece of several tiles, or of few enough sums in float, stays in the first-level cache.
  constexpr index_t piece = in_float || K > gram_tile ? 1024 : block_size;
  for (; begin < end; begin += piece) {
    const index_t last = (min)(begin + piece, end);
    if constexpr (in_float)
      if (add_gram_in_float(g, begin, last, products)) continue;
    add_gram_tiles<0, 0>(g, begin, last, products);
  }
  for (std::size_t t = 0; t < pairs; ++t) sums[t] += simd::horizontal_sum(products[t]);
}

template <std::size_t K>
constexpr std::array<double, K> filled(double value) {
  std::array<double, K> result{};
  result.fill(value);
  return result;
}

/// Throws unless @p value is finite and not negative.
inline void check_weight(double value, const char* function, const char* argument) {
  invalid_argument_unless(value >= 0 && std::isfinite(value), function, argument,
                          "must be finite and not negative, is %g", value);
}

/// Throws unless no preference is negative or infinite, and some is positive.
template <std::size_t K>
void check_preference(const std::array<double, K>& preference, const char* function) {
  double sum = 0;
  for (const double p : preference) {
    invalid_argument_unless(p >= 0 && std::isfinite(p), function, "preference",
                            "must be finite and not negative, is %g", p);
    sum += p;
  }
  invalid_argument_unless(sum > 0, function, "preference", "is %g for every task", sum);
}

/// False if a Gram matrix has nothing to solve: zero or non-finite gradients.
template <std::size_t K>
bool solvable(const gram_matrix<K>& g) {
  double largest = 0;
  for (std::size_t i = 0; i < K; ++i) largest = (max)(largest, g(i, i));
  return g.finite() && largest >= (std::numeric_limits<double>::min)();
}

}  // namespace detail

/// The upper triangle, row by row, of the Gram matrix of @p g into @p sums, K (K + 1) / 2 elements: what ranks add up.
/// @p exact: products in double, whatever `gram` does at first. Cost and determinism are those of `gram`.
template <scalar T, std::size_t K>
void gram_sums(const task_gradients<T, K>& g, bool exact, double* sums, executor_reference pool) {
  const auto run = [&]<bool Exact>(std::bool_constant<Exact>) {
    blocked_sum<K*(K + 1) / 2>(
        g.size(), sums,
        [&](index_t begin, index_t end, double* partial) {
          detail::add_gram_block<Exact>(g.task, begin, end, partial);
        },
        pool);
  };
  if constexpr (detail::gram_in_float<T, K>)
    if (!exact) return run(std::false_type{});
  run(std::true_type{});
}

/// The Gram matrix of gradients of element type T whose `gram_sums` are @p sums. A gradient whose length is no normal
/// number of the accumulator's type counts as zero: what divided by it would not fit that type. So does one of doubles
/// whose squared length is none (below 1e-154 long): few digits of it are left. Above 1e154 the matrix is infinite.
template <scalar T, std::size_t K>
gram_matrix<K> unpack_gram(const double* sums, bool exact) {
  using A = accumulator_t<T>;
  gram_matrix<K> result;
  result.error = detail::gram_in_float<T, K> && !exact ? 0x1p-18 : 0x1p-43;
  for (std::size_t a = 0; a < K; ++a)
    for (std::size_t b = a; b < K; ++b) result.value[a][b] = result.value[b][a] = *sums++;
  constexpr double normal = static_cast<double>((std::numeric_limits<A>::min)());
  for (std::size_t a = 0; a < K; ++a) {
    if (!(std::sqrt(result(a, a)) < normal || result(a, a) < (std::numeric_limits<double>::min)())) continue;
    result.value[a] = {};
    for (auto& row : result.value) row[a] = 0;
  }
  return result;
}

/// Whether products summed in float do not tell the gradients apart: one of them has less than 2^-8 of its squared
/// length outside the span of others. They are then summed again in double.
template <scalar T, std::size_t K>
bool needs_exact_gram(const gram_matrix<K>& g) {
  if (!detail::gram_in_float<T, K> || !g.finite()) return false;
  const linalg::unit_rows<K> rows(g.value);
  std::size_t tasks = 0;
  for (const double length : rows.length) tasks += length > 0 ? 1 : 0;
  return linalg::recover_rows(rows.cosine, 0x1p-8).rank < tasks;
}

/// The Gram matrix of the gradients, exact to 2^-43 of |g_i| |g_j| for every block of 4096 elements. Products of up to
/// four float gradients are exact in double; of more, and of 16-bit ones, where the double-precision units are the
/// bound, they are summed 64 a lane in float (an error of some 1e-7 of |g_i| |g_j|, at most 2^-18), unless that could
/// over- or underflow, or gradients turn out to be nearly dependent: then all of them are summed again in double.
/// @note One pass over the K gradients, none over pairs, a second where they are nearly dependent; allocates nothing;
///       bitwise for any executor, and for up to four gradients for any instruction set.
template <scalar T, std::size_t K, executor E = const serial>
gram_matrix<K> gram(const task_gradients<T, K>& g, E&& pool = serial{}) {
  double sums[K * (K + 1) / 2];
  gram_sums(g, false, sums, pool);
  const auto result = unpack_gram<T, K>(sums, false);
  if (!needs_exact_gram<T>(result)) return result;
  gram_sums(g, true, sums, pool);
  return unpack_gram<T, K>(sums, true);
}

}  // namespace HONE_NAMESPACE::gradient
