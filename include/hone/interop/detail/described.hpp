// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Memory of which type, shape and strides are known at run time only: what DLPack, LibTorch and ggml hand over.
///   visit_vector(x, f), visit_matrix(x, f)   f(view) of the type that is stored: float, double, bfloat16, float16
///   vector_of<T>(x), matrix_of<T>(x)         the view of a type that is known
#pragma once
#include "hone/core/view.hpp"

#include <cstdint>
#include <limits>

namespace HONE_NAMESPACE::detail {

inline constexpr int most_dimensions = 16;

/// @c dimensions extents and strides, in elements, the slowest first.
struct described {
  format type = format::none;
  void* data = nullptr;
  int dimensions = 0;
  index_t extent[most_dimensions] = {};
  index_t stride[most_dimensions] = {};
};

/// The door of a type X: specialised with static described describe(const X&, const char* function), which throws
/// std::invalid_argument for what cannot be seen.
template <class X>
struct described_traits {};

template <class X>
concept has_description = requires(const X& x) { described_traits<X>::describe(x, ""); };

inline const char* format_name(format type) {
  switch (type) {
    case format::float32: return "float32";
    case format::float64: return "float64";
    case format::bfloat16: return "bfloat16";
    case format::float16: return "float16";
    case format::none: break;
  }
  return "no number of hone's";
}

/// f(T) of the type that is stored, f(float{}) say; one instantiation each.
template <class F>
decltype(auto) with_format(format type, F&& f) {
  switch (type) {
    case format::float64: return f(double{});
    case format::bfloat16: return f(bfloat16{});
    case format::float16: return f(float16{});
    default: return f(float{});
  }
}

template <scalar T>
void require_format(const described& x, const char* function) {
  invalid_argument_unless(x.type == scalar_format<T>, function, "x", "holds %s, not %s", format_name(x.type),
                          format_name(scalar_format<T>));
}

/// Throws unless all elements are memory that a T can be read from: what another program says of it is not taken on
/// trust.
template <scalar T>
void require_memory(const described& x, const char* function) {
  constexpr index_t most = (std::numeric_limits<index_t>::max)() / index_t{sizeof(T)};
  bool empty = false;
  for (int i = 0; i < x.dimensions; ++i) {
    invalid_argument_unless(x.extent[i] >= 0, function, "x", "dimension %d has %td elements", i, x.extent[i]);
    empty = empty || x.extent[i] == 0;
  }
  if (empty) return;
  index_t size = 1, reach = 0;
  for (int i = 0; i < x.dimensions; ++i) {
    const index_t steps = x.extent[i] - 1, stride = x.stride[i];
    if (steps == 0) continue;  // whose stride says nothing
    const bool fits = x.extent[i] <= most / size && stride >= -most && stride <= most &&
                      (stride < 0 ? -stride : stride) <= (most - reach) / steps;
    invalid_argument_unless(fits, function, "x",
                            "dimension %d, of %td elements with a stride of %td, has no end in memory", i, x.extent[i],
                            stride);
    size *= x.extent[i];
    reach += steps * (stride < 0 ? -stride : stride);
  }
  invalid_argument_unless(x.data != nullptr, function, "x", "has %td elements and no memory", size);
  invalid_argument_unless(reinterpret_cast<std::uintptr_t>(x.data) % alignof(T) == 0, function, "x",
                          "its memory begins at %p, no multiple of the %zu bytes of a %s", x.data, alignof(T),
                          format_name(x.type));
}

/// All elements in row-major order, where one stride reaches them.
template <scalar T>
vector_view<T> vector_of(const described& x, const char* function) {
  require_format<T>(x, function);
  require_memory<T>(x, function);
  index_t size = 1, stride = 1;
  bool even = true;
  for (int i = x.dimensions - 1; i >= 0; --i) {
    if (x.extent[i] == 1) continue;
    if (size == 1) stride = x.stride[i];
    even = even && x.stride[i] == stride * size;
    size *= x.extent[i];
  }
  if (size == 0) return {};
  invalid_argument_unless(even, function, "x", "has %d dimensions that are not one run of elements: make it contiguous",
                          x.dimensions);
  return {static_cast<T*>(x.data), size, stride};
}

template <scalar T>
matrix_view<T> matrix_of(const described& x, const char* function) {
  require_format<T>(x, function);
  require_memory<T>(x, function);
  invalid_argument_unless(x.dimensions == 2, function, "x", "has %d dimensions, expected 2", x.dimensions);
  return {static_cast<T*>(x.data), x.extent[0], x.extent[1], x.stride[0], x.stride[1]};
}

}  // namespace HONE_NAMESPACE::detail

namespace HONE_NAMESPACE {

/// All elements of @p x in row-major order. Views write; constness is for the caller to keep.
/// @throws std::invalid_argument if @p x holds something else, is not memory of the CPU, not aligned, or has several
///         dimensions that no single stride runs through.
template <scalar T, detail::has_description X>
vector_view<T> vector_of(const X& x) {
  const char* function = "hone::vector_of";
  return detail::vector_of<T>(detail::described_traits<X>::describe(x, function), function);
}

/// @throws std::invalid_argument as `vector_of`, and unless @p x has two dimensions, of any strides.
template <scalar T, detail::has_description X>
matrix_view<T> matrix_of(const X& x) {
  const char* function = "hone::matrix_of";
  return detail::matrix_of<T>(detail::described_traits<X>::describe(x, function), function);
}

/// f(vector_of<T>(x)) for the T that @p x holds; what f returns may not depend on T.
template <detail::has_description X, class F>
decltype(auto) visit_vector(const X& x, F&& f) {
  const char* function = "hone::visit_vector";
  const detail::described d = detail::described_traits<X>::describe(x, function);
  return detail::with_format(d.type,
                             [&]<class T>(T) -> decltype(auto) { return f(detail::vector_of<T>(d, function)); });
}

/// f(matrix_of<T>(x)) for the T that @p x holds.
template <detail::has_description X, class F>
decltype(auto) visit_matrix(const X& x, F&& f) {
  const char* function = "hone::visit_matrix";
  const detail::described d = detail::described_traits<X>::describe(x, function);
  return detail::with_format(d.type,
                             [&]<class T>(T) -> decltype(auto) { return f(detail::matrix_of<T>(d, function)); });
}

}  // namespace HONE_NAMESPACE
