// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The doors of memory that is written. A view may repeat one number (stride 0: the gradient of a sum as autograd gives
/// it, a broadcast array) or have no memory at all. As an input that is what it says; of an output all elements but one
/// would be lost. So whoever writes opens with these, before anything is written.
#pragma once
#include "hone/core/view.hpp"

#include <cstdint>
#include <span>
#include <utility>

namespace HONE_NAMESPACE {

/// Whether each element of @p x has memory of its own, and no size is negative.
template <scalar T>
constexpr bool writable(const vector_view<T>& x) {
  return x.size() == 0 || (x.size() > 0 && x.data() != nullptr && (x.stride() != 0 || x.size() == 1));
}

/// As above; (i, j) and (k, l) share memory if (i - k) row_stride = (l - j) col_stride.
template <scalar T>
constexpr bool writable(const matrix_view<T>& x) {
  if (x.rows() < 0 || x.cols() < 0) return false;
  if (x.rows() == 0 || x.cols() == 0) return true;
  if (x.data() == nullptr) return false;
  index_t down = x.row_stride() < 0 ? -x.row_stride() : x.row_stride();
  index_t right = x.col_stride() < 0 ? -x.col_stride() : x.col_stride();
  if (x.rows() == 1 || x.cols() == 1) return (x.rows() == 1 || down != 0) && (x.cols() == 1 || right != 0);
  if (down == 0 || right == 0) return false;
  if (down / right >= x.cols() || right / down >= x.rows()) return true;  // row after row, column after column
  index_t divisor = down, rest = right;
  while (rest != 0) {
    const index_t next = divisor % rest;
    divisor = rest;
    rest = next;
  }
  return right / divisor >= x.rows() || down / divisor >= x.cols();
}

/// @throws std::invalid_argument, in the name of @p function, unless @p x is `writable`.
template <scalar T>
constexpr void check_output(const vector_view<T>& x, const char* function, const char* argument) {
  if (writable(x)) return;
  invalid_argument_unless(x.size() >= 0, function, argument, "has %td elements: no size is negative", x.size());
  invalid_argument_unless(x.data() != nullptr, function, argument, "has %td elements and no memory", x.size());
  invalid_argument_unless(false, function, argument, "has %td elements in one place: an output has no stride of 0",
                          x.size());
}
template <scalar T>
constexpr void check_output(const matrix_view<T>& x, const char* function, const char* argument) {
  if (writable(x)) return;
  invalid_argument_unless(x.rows() >= 0 && x.cols() >= 0, function, argument, "is %td x %td: no size is negative",
                          x.rows(), x.cols());
  invalid_argument_unless(x.data() != nullptr, function, argument, "is %td x %td and has no memory", x.rows(),
                          x.cols());
  invalid_argument_unless(false, function, argument,
                          "is %td x %td with strides %td and %td: an output has no two elements in one place", x.rows(),
                          x.cols(), x.row_stride(), x.col_stride());
}
template <class T>
constexpr void check_output(std::span<T> x, const char* function, const char* argument) {
  invalid_argument_unless(x.data() != nullptr || x.empty(), function, argument, "has %zu elements and no memory",
                          x.size());
}

/// Two outputs have no memory in common. Strided ones may be interleaved.
/// @throws std::invalid_argument, naming @p argument, if @p x and @p y overlap and are contiguous, have strides of the
///         same number of bytes, or begin in one place; of others nothing is asked.
template <scalar T, scalar U>
void check_apart(const vector_view<T>& x, const vector_view<U>& y, const char* function, const char* argument,
                 const char* other) {
  if (x.size() <= 0 || y.size() <= 0) return;
  const auto place = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p); };
  const auto bytes = [](index_t n) { return static_cast<std::uintptr_t>(n < 0 ? -n : n); };
  // The first and the last element of each, in the order of their addresses.
  const auto ends = [&]<class V>(const V& v) {
    const auto first = place(v.data()), last = place(&v[v.size() - 1]);
    return first < last ? std::pair{first, last} : std::pair{last, first};
  };
  const auto [x_first, x_last] = ends(x);
  const auto [y_first, y_last] = ends(y);
  bool apart = x_last + sizeof(T) <= y_first || y_last + sizeof(U) <= x_first;
  const std::uintptr_t x_step = bytes(x.stride()) * sizeof(T), y_step = bytes(y.stride()) * sizeof(U);
  if (!apart && !(x.contiguous() && y.contiguous())) {
    if (x_step != y_step || x_step == 0) {
      apart = place(x.data()) != place(y.data());
    } else {
      const std::uintptr_t gap = (x_first < y_first ? y_first - x_first : x_first - y_first) % x_step;
      const std::uintptr_t lower = x_first < y_first ? sizeof(T) : sizeof(U), upper = sizeof(T) + sizeof(U) - lower;
      apart = gap >= lower && x_step - gap >= upper;
    }
  }
  invalid_argument_unless(apart, function, argument, "lies in the memory of %s", other);
}

/// `as_vector` of what @p function is going to write.
/// @throws std::invalid_argument, naming @p argument, unless it is `writable`.
template <mutable_vector X>
constexpr auto output_vector(X&& x, const char* function, const char* argument) {
  const auto view = as_vector(x);
  check_output(view, function, argument);
  return view;
}

/// `as_matrix` of what @p function is going to write; as `output_vector`.
template <mutable_matrix X>
constexpr auto output_matrix(X&& x, const char* function, const char* argument) {
  const auto view = as_matrix(x);
  check_output(view, function, argument);
  return view;
}

}  // namespace HONE_NAMESPACE
