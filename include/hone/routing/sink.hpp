// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What an inference engine calls while it reads a prompt: it hands over the rows of each hidden state as they appear
/// and has, when the prompt is read, the probability that this model's answer will do. A linear head on states that are
/// pooled over tokens and layers needs one dot product a row, of which only a sum is kept:
///   logit = bias + sum_l mean_t <v_l, h_lt>,   p = 1 / (1 + exp(-(slope logit + intercept)))
/// v_l the layer's weight times the head, the logistic function after a calibration. Whatever is wrong makes the
/// decision `large_by_fault`: no state, no tokens, NaN, a width that is not the router's.
/// [RouterXBench, arXiv 2602.11877, at evaluation; folded]
///
/// The standard library alone, C++17, no exceptions, no allocation: an engine may copy this one file.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>

#if __has_include("hone/core/flags.hpp")
#include "hone/core/flags.hpp"
#else
#define HONE_NAMESPACE hone
#endif

namespace HONE_NAMESPACE::routing {

enum class number : std::uint8_t { float32, float16, bfloat16 };

/// What the last state is: the output of the last block after the model's final norm, as Hugging Face and hone have it,
/// or before, as vLLM has it. The others are the embedding and the outputs of the blocks before.
enum class last_state : std::uint8_t { after_norm, before_norm };

/// Which tokens of the prompt count.
enum class token_pooling : std::uint8_t { mean, last };

enum class decision : std::uint8_t { small_model, large_model, large_by_fault };

/// Why there is no probability.
enum class fault : std::uint8_t {
  none,
  bad_router,      ///< no weights, states out of order, a number that is not finite
  no_such_state,   ///< a number that the model does not have: an index that is off by one, say
  bad_rows,        ///< no memory, another width, rows that overlap
  no_tokens,       ///< nothing was added
  missing_state,   ///< one that the router reads was not added
  unequal_tokens,  ///< the states are of different numbers of tokens
  not_finite       ///< NaN or infinity in a state or in the weights
};

constexpr const char* text_of(fault f) noexcept {
  constexpr const char* texts[] = {"",
                                   "the router has no weights, states out of order, or a number that is not finite",
                                   "a state that the model does not have",
                                   "rows of another width, without memory or that overlap",
                                   "no tokens",
                                   "a state that the router reads is missing",
                                   "the states are of different numbers of tokens",
                                   "NaN or infinity in a state or in the weights"};
  return texts[static_cast<int>(f)];
}

/// A router for use. The memory is the caller's. States are numbered from the embedding, 0, over the output of each
/// block to the last.
struct folded_router {
  const float* v;                          ///< layers x width, row-major
  std::int32_t layers, width;              ///< layers that are read
  double bias, threshold;                  ///< the small model answers where p >= threshold
  double slope, intercept;                 ///< of the calibration; 1 and 0 without
  std::int32_t states;                     ///< that the model has: its blocks + 1
  const std::int32_t* state_of = nullptr;  ///< the state that each row of v is for, ascending; nullptr: 0, 1, …
  token_pooling tokens = token_pooling::mean;
  last_state last = last_state::after_norm;  ///< which one the engine has to hand over
};

/// Rows of one state, a token each, in the order of the prompt.
struct state_rows {
  const void* data;
  std::int64_t rows;
  std::int32_t width;
  std::ptrdiff_t stride;  ///< between rows, in elements
  number type;
};

/// What a sink keeps of a layer.
struct layer_sum {
  double sum = 0;  ///< of <v, h> over tokens; the last one alone where that is what counts
  std::int64_t tokens = 0;
};

namespace detail {

template <class To, class From>
inline To bits_as(From from) noexcept {
  To to;
  static_assert(sizeof to == sizeof from);
  std::memcpy(&to, &from, sizeof to);
  return to;
}

/// By bits, so that it holds under -ffast-math.
inline bool is_finite(double x) noexcept {
  return (bits_as<std::uint64_t>(x) & 0x7ff0000000000000u) != 0x7ff0000000000000u;
}

/// A register of floats, of which doubles take two.
#if defined(__AVX512F__)
inline constexpr std::int32_t float_lanes = 16, double_lanes = 8;
#elif defined(__AVX__)
inline constexpr std::int32_t float_lanes = 8, double_lanes = 4;
#elif defined(__GNUC__)
inline constexpr std::int32_t float_lanes = 4, double_lanes = 2;
#else
inline constexpr std::int32_t float_lanes = 1, double_lanes = 1;
#endif

/// Compilers do not keep an array of sums in vector registers by themselves.
#if defined(__GNUC__)
template <class T, std::int32_t Lanes>
struct lanes_of {
  typedef T type __attribute__((vector_size(Lanes * sizeof(T))));
};
#else
template <class T, std::int32_t>
struct lanes_of {
  using type = T;
};
#endif
using floats = lanes_of<float, float_lanes>::type;
using word_lanes = lanes_of<std::uint32_t, float_lanes>::type;
using half_lanes = lanes_of<std::uint16_t, float_lanes>::type;
using few_floats = lanes_of<float, double_lanes>::type;
using doubles = lanes_of<double, double_lanes>::type;

// One instruction each, which g++ 12 makes four of by itself.
#if defined(__GNUC__) && !defined(__clang__) && defined(__AVX512F__)
inline doubles to_doubles(few_floats x) noexcept { return __builtin_ia32_cvtps2pd512_mask(x, doubles{}, -1, 4); }
inline word_lanes to_words(half_lanes x) noexcept {
  using signed_halves = lanes_of<std::int16_t, float_lanes>::type;
  using signed_words = lanes_of<std::int32_t, float_lanes>::type;
  return bits_as<word_lanes>(__builtin_ia32_pmovzxwd512_mask(bits_as<signed_halves>(x), signed_words{}, 0xffff));
}
#elif defined(__GNUC__) && !defined(__clang__) && defined(__AVX2__)
inline doubles to_doubles(few_floats x) noexcept { return __builtin_ia32_cvtps2pd256(x); }
inline word_lanes to_words(half_lanes x) noexcept {
  return bits_as<word_lanes>(__builtin_ia32_pmovzxwd256(bits_as<lanes_of<std::int16_t, float_lanes>::type>(x)));
}
#elif defined(__GNUC__)
inline doubles to_doubles(few_floats x) noexcept { return __builtin_convertvector(x, doubles); }
inline word_lanes to_words(half_lanes x) noexcept { return __builtin_convertvector(x, word_lanes); }
#else
inline doubles to_doubles(few_floats x) noexcept { return x; }
inline word_lanes to_words(half_lanes x) noexcept { return x; }
#endif

struct from_float32 {
  using stored = float;
  static floats widen(floats x) noexcept { return x; }
};
struct from_bfloat16 {
  using stored = std::uint16_t;
  static floats widen(half_lanes x) noexcept { return bits_as<floats>(to_words(x) << 16); }
};
struct from_float16 {
  using stored = std::uint16_t;
  static floats widen(half_lanes x) noexcept {
#if defined(__GNUC__) && defined(__AVX512F__)
    const auto bits = bits_as<lanes_of<std::int16_t, float_lanes>::type>(x);
#if defined(__clang__)
    return __builtin_ia32_vcvtph2ps512_mask(bits, floats{}, static_cast<unsigned short>(0xffff), 4);
#else
    return __builtin_ia32_vcvtph2ps512_mask(bits, floats{}, -1, 4);
#endif
#elif defined(__GNUC__) && defined(__AVX__) && defined(__F16C__)
    return __builtin_ia32_vcvtph2ps256(bits_as<lanes_of<std::int16_t, float_lanes>::type>(x));
#else
    // On normal numbers alone: right in processes that flush denormals, too.
    const word_lanes bits = to_words(x), sign = (bits & 0x8000u) << 16, rest = (bits & 0x7fffu) << 13;
    const word_lanes subnormal = bits_as<word_lanes>(bits_as<floats>(rest + 0x38800000u) - 0x1p-14f);
    const word_lanes finite = rest < 0x00800000u ? subnormal : rest + 0x38000000u;
    return bits_as<floats>(sign | (rest < 0x0f800000u ? finite : rest | 0x7f800000u));
#endif
  }
};

inline constexpr std::int32_t block_lanes = 16;

/// The products of one register of states, added to its sums.
template <class From>
inline void add_products(doubles* sums, const unsigned char* states, const float* weights) noexcept {
  typename lanes_of<typename From::stored, float_lanes>::type read;
  std::memcpy(&read, states, sizeof read);
  const floats wide = From::widen(read);
  few_floats x[float_lanes / double_lanes], w;
  std::memcpy(x, &wide, sizeof x);
  std::memcpy(&w, weights, sizeof w);
  sums[0] += to_doubles(x[0]) * to_doubles(w);
  if constexpr (float_lanes > double_lanes) {
    std::memcpy(&w, weights + double_lanes, sizeof w);
    sums[1] += to_doubles(x[1]) * to_doubles(w);
  }
}

/// Of 16 elements, unrolled.
template <class From, int... Part>
inline void add_block(doubles* sums, const unsigned char* states, const float* weights,
                      std::integer_sequence<int, Part...>) noexcept {
  constexpr std::size_t size = sizeof(typename From::stored);
  (add_products<From>(sums + Part * (float_lanes / double_lanes), states + Part * float_lanes * size,
                      weights + Part * float_lanes),
   ...);
}

/// <x, v> by 16 lanes and a tree. Products of floats are exact in double: the same bits with and without fused
/// instructions, and for every vector width.
template <class From>
inline double dot_row(const unsigned char* x, const float* v, std::int32_t width) noexcept {
  using stored = typename From::stored;
  constexpr std::make_integer_sequence<int, block_lanes / float_lanes> all{};
  doubles sums[block_lanes / double_lanes] = {};
  std::int32_t i = 0;
  for (; i + block_lanes <= width; i += block_lanes)
    add_block<From>(sums, x + static_cast<std::size_t>(i) * sizeof(stored), v + i, all);
  if (const auto left = static_cast<std::size_t>(width - i); left > 0) {
    unsigned char states[block_lanes * sizeof(stored)] = {};
    float weights[block_lanes] = {};
    std::memcpy(states, x + static_cast<std::size_t>(i) * sizeof(stored), left * sizeof(stored));
    std::memcpy(weights, v + i, left * sizeof(float));
    add_block<From>(sums, states, weights, all);
  }
  double lanes[block_lanes];
  std::memcpy(lanes, sums, sizeof lanes);
  for (std::int32_t half = block_lanes / 2; half > 0; half /= 2)
    for (std::int32_t k = 0; k < half; ++k) lanes[k] += lanes[k + half];
  return lanes[0];
}

}  // namespace detail

/// One prompt at a time, one thread at a time.
class state_sink {
 public:
  /// @param memory router.layers elements, the caller's, as what @p router points to; both must outlive this.
  state_sink(const folded_router& router, layer_sum* memory) noexcept : router_(router), memory_(memory) { reset(); }

  [[nodiscard]] const folded_router& router() const noexcept { return router_; }

  /// For the next prompt.
  void reset() noexcept {
    const folded_router& r = router_;
    const double numbers[] = {r.bias, r.slope, r.intercept};
    bool sound = r.v != nullptr && memory_ != nullptr && r.layers > 0 && r.width > 0 && r.layers <= r.states;
    for (const double x : numbers) sound = sound && detail::is_finite(x);
    sound = sound && r.threshold == r.threshold;
    for (std::int32_t i = 0; sound && i < r.layers; ++i)
      sound = state(i) >= 0 && state(i) < r.states && (i == 0 || state(i - 1) < state(i));
    fault_ = sound ? fault::none : fault::bad_router;
    for (std::int32_t i = 0; sound && i < r.layers; ++i) memory_[i] = layer_sum{};
  }

  /// Takes the next tokens' rows of state @p state, in any pieces and any order of the states; a state that the router
  /// does not read is passed over.
  /// @note One read of the rows. The bits of the result do not depend on the pieces.
  void add(std::int32_t state, const state_rows& x) noexcept {
    if (fault_ != fault::none) return;
    if (state < 0 || state >= router_.states) return fail(fault::no_such_state);
    const std::int32_t layer = row_of(state);
    if (layer < 0 || x.rows == 0) return;
    if (x.data == nullptr || x.rows < 0 || x.width != router_.width || (x.rows > 1 && x.stride < x.width))
      return fail(fault::bad_rows);
    switch (x.type) {
      case number::float32: return add<detail::from_float32>(layer, x);
      case number::float16: return add<detail::from_float16>(layer, x);
      case number::bfloat16: return add<detail::from_bfloat16>(layer, x);
    }
    fail(fault::bad_rows);
  }

  /// Why there is no probability; `none` once all states of the prompt are in.
  [[nodiscard]] fault why() const noexcept {
    if (fault_ != fault::none) return fault_;
    std::int64_t most = 0;
    for (std::int32_t i = 0; i < router_.layers; ++i) most = memory_[i].tokens > most ? memory_[i].tokens : most;
    if (most == 0) return fault::no_tokens;
    for (std::int32_t i = 0; i < router_.layers; ++i)
      if (memory_[i].tokens == 0) return fault::missing_state;
    for (std::int32_t i = 0; i < router_.layers; ++i)
      if (memory_[i].tokens != most) return fault::unequal_tokens;
    return detail::is_finite(sum()) ? fault::none : fault::not_finite;
  }

  /// Of the prompt; 0 with a fault.
  [[nodiscard]] std::int64_t tokens() const noexcept { return why() == fault::none ? memory_[0].tokens : 0; }
  /// What row @p layer of v adds to the logit. @pre why() == fault::none, layer in [0, layers).
  [[nodiscard]] double contribution(std::int32_t layer) const noexcept {
    const layer_sum& own = memory_[layer];
    return router_.tokens == token_pooling::last ? own.sum : own.sum / static_cast<double>(own.tokens);
  }
  /// NaN with a fault.
  [[nodiscard]] double logit() const noexcept { return why() == fault::none ? sum() : nan(); }
  /// That the small model's answer will do; NaN with a fault.
  [[nodiscard]] double probability() const noexcept {
    if (why() != fault::none) return nan();
    const double x = router_.slope * sum() + router_.intercept, tail = std::exp(-std::abs(x));
    return x < 0 ? tail / (1 + tail) : 1 / (1 + tail);
  }
  [[nodiscard]] decision decide() const noexcept {
    if (why() != fault::none) return decision::large_by_fault;
    return probability() >= router_.threshold ? decision::small_model : decision::large_model;
  }

 private:
  template <class From>
  void add(std::int32_t layer, const state_rows& x) noexcept {
    const float* const v = router_.v + static_cast<std::ptrdiff_t>(layer) * router_.width;
    const auto* row = static_cast<const unsigned char*>(x.data);
    const std::ptrdiff_t step = x.stride * static_cast<std::ptrdiff_t>(sizeof(typename From::stored));
    layer_sum own = memory_[layer];
    for (std::int64_t t = 0; t < x.rows; ++t) {
      const double product = detail::dot_row<From>(row + t * step, v, router_.width);
      if (!detail::is_finite(product)) return fail(fault::not_finite);
      own.sum = router_.tokens == token_pooling::last ? product : own.sum + product;
      ++own.tokens;
    }
    memory_[layer] = own;
  }

  [[nodiscard]] std::int32_t state(std::int32_t layer) const noexcept {
    return router_.state_of == nullptr ? layer : router_.state_of[layer];
  }
  /// The row of v for a state, or -1.
  [[nodiscard]] std::int32_t row_of(std::int32_t state_number) const noexcept {
    if (router_.state_of == nullptr) return state_number < router_.layers ? state_number : -1;
    for (std::int32_t i = 0; i < router_.layers; ++i)
      if (router_.state_of[i] == state_number) return i;
    return -1;
  }
  [[nodiscard]] double sum() const noexcept {
    double logit = router_.bias;
    for (std::int32_t i = 0; i < router_.layers; ++i) logit += contribution(i);
    return logit;
  }
  static double nan() noexcept { return std::numeric_limits<double>::quiet_NaN(); }
  void fail(fault f) noexcept { fault_ = f; }

  folded_router router_;
  layer_sum* memory_;
  fault fault_ = fault::none;
};

}  // namespace HONE_NAMESPACE::routing
