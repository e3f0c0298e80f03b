// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Views of memory that the caller owns, and the doors that make them. Algorithms see three types only: vector_view,
/// matrix_view, ragged_view. `as_vector(x)` and `as_matrix(x)` accept them, std contiguous ranges, and whatever type
/// `view_traits` is specialised for (hone/interop/*.hpp does it for other libraries).
///
/// A type with data() and size() is not thereby contiguous: a row of a column-major matrix has both and is strided.
/// So no door looks at data(): it takes the address of a std::contiguous_iterator, and a type that has
/// strides or a shape must come through its library's header.
#pragma once
#include "hone/core/contract.hpp"
#include "hone/core/scalar.hpp"

#include <iterator>
#include <type_traits>

namespace HONE_NAMESPACE {

/// @c size elements, @c stride elements apart. A stride of 0 repeats one element: a constant vector, to be read only.
template <scalar T>
class vector_view {
 public:
  using element_type = T;

  constexpr vector_view() = default;
  constexpr vector_view(T* data, index_t size, index_t stride = 1) : data_(data), size_(size), stride_(stride) {}
  constexpr operator vector_view<const T>() const
    requires(!std::is_const_v<T>)
  {
    return {data_, size_, stride_};
  }

  [[nodiscard]] constexpr T* data() const { return data_; }
  [[nodiscard]] constexpr index_t size() const { return size_; }
  [[nodiscard]] constexpr index_t stride() const { return stride_; }
  [[nodiscard]] constexpr bool contiguous() const { return stride_ == 1; }
  constexpr T& operator[](index_t i) const { return data_[i * stride_]; }
  [[nodiscard]] constexpr vector_view subvector(index_t begin, index_t count) const {
    return {data_ + begin * stride_, count, stride_};
  }

 private:
  T* data_ = nullptr;
  index_t size_ = 0;
  index_t stride_ = 1;
};

/// @c rows x @c cols elements; (i, j) lies at data[i * row_stride + j * col_stride].
template <scalar T>
class matrix_view {
 public:
  using element_type = T;

  constexpr matrix_view() = default;
  constexpr matrix_view(T* data, index_t rows, index_t cols) : matrix_view(data, rows, cols, cols, 1) {}
  constexpr matrix_view(T* data, index_t rows, index_t cols, index_t row_stride, index_t col_stride)
      : data_(data), rows_(rows), cols_(cols), row_stride_(row_stride), col_stride_(col_stride) {}
  constexpr operator matrix_view<const T>() const
    requires(!std::is_const_v<T>)
  {
    return {data_, rows_, cols_, row_stride_, col_stride_};
  }

  [[nodiscard]] constexpr T* data() const { return data_; }
  [[nodiscard]] constexpr index_t rows() const { return rows_; }
  [[nodiscard]] constexpr index_t cols() const { return cols_; }
  [[nodiscard]] constexpr index_t row_stride() const { return row_stride_; }
  [[nodiscard]] constexpr index_t col_stride() const { return col_stride_; }
  constexpr T& operator()(index_t i, index_t j) const { return data_[i * row_stride_ + j * col_stride_]; }
  [[nodiscard]] constexpr vector_view<T> row(index_t i) const { return {data_ + i * row_stride_, cols_, col_stride_}; }
  [[nodiscard]] constexpr vector_view<T> col(index_t j) const { return {data_ + j * col_stride_, rows_, row_stride_}; }

 private:
  T* data_ = nullptr;
  index_t rows_ = 0;
  index_t cols_ = 0;
  index_t row_stride_ = 0;
  index_t col_stride_ = 1;
};

/// Sequences of different length, one after the other: sequence i is values[offsets[i] … offsets[i + 1]).
template <scalar T>
class ragged_view {
 public:
  using element_type = T;

  constexpr ragged_view() = default;
  /// @p offsets holds count + 1 ascending borders; the first is 0, the last the number of values.
  constexpr ragged_view(T* values, const index_t* offsets, index_t count)
      : values_(values), offsets_(offsets), count_(count) {}

  [[nodiscard]] constexpr index_t size() const { return count_; }
  [[nodiscard]] constexpr vector_view<T> operator[](index_t i) const {
    return {values_ + offsets_[i], offsets_[i + 1] - offsets_[i]};
  }

 private:
  T* values_ = nullptr;
  const index_t* offsets_ = nullptr;
  index_t count_ = 0;
};

/// The door of a foreign type X (without const or reference): specialise with
///   `static auto vector(X&) -> vector_view<…>`   and/or   `static auto matrix(X&) -> matrix_view<…>`
/// and the same for const X&.
template <class X>
struct view_traits {};

namespace detail {

template <class X>
concept has_vector_traits = requires(X& x) { view_traits<std::remove_cv_t<X>>::vector(x); };
template <class X>
concept has_matrix_traits = requires(X& x) { view_traits<std::remove_cv_t<X>>::matrix(x); };

template <class X>
concept eigen_like = requires { X::RowsAtCompileTime; };
template <class X>
concept shaped = requires(const X& x) { x.shape(); } || requires(const X& x) { x.strides(); };

template <class X>
concept contiguous_range = !eigen_like<X> && !shaped<X> && requires(X& x) {
  requires std::contiguous_iterator<decltype(std::begin(x))>;
  { std::end(x) - std::begin(x) } -> std::convertible_to<index_t>;
  requires scalar<std::remove_reference_t<decltype(*std::begin(x))>>;
};

template <class X>
inline constexpr bool is_vector_view = false;
template <class T>
inline constexpr bool is_vector_view<vector_view<T>> = true;
template <class X>
inline constexpr bool is_matrix_view = false;
template <class T>
inline constexpr bool is_matrix_view<matrix_view<T>> = true;

}  // namespace detail

/// The vector in @p x, nothing copied. A foreign type without its header, and an unevaluated expression, are refused
/// at compile time.
template <class X>
constexpr auto as_vector(X&& x) {
  using U = std::remove_reference_t<X>;
  if constexpr (detail::is_vector_view<std::remove_cv_t<U>>) {
    return x;
  } else if constexpr (detail::has_vector_traits<U>) {
    return view_traits<std::remove_cv_t<U>>::vector(x);
  } else if constexpr (detail::contiguous_range<U>) {
    using element = std::remove_reference_t<decltype(*std::begin(x))>;
    const auto first = std::begin(x);
    const auto size = static_cast<index_t>(std::end(x) - first);
    return vector_view<element>(size == 0 ? nullptr : std::to_address(first), size);
  } else {
    static_assert(!detail::eigen_like<U>,
                  "hone::as_vector: include hone/interop/eigen.hpp; an Eigen expression that is not memory yet needs "
                  ".eval()");
    static_assert(!detail::shaped<U>,
                  "hone::as_vector: include hone/interop/<library>.hpp for this array; an expression that is not "
                  "memory yet needs .eval() or xt::eval()");
    static_assert(detail::contiguous_range<U>,
                  "hone::as_vector: not a vector of scalars in memory; pass a contiguous range, a vector_view, or "
                  "specialise hone::view_traits");
  }
}

/// The matrix in @p x, nothing copied; as `as_vector`.
template <class X>
constexpr auto as_matrix(X&& x) {
  using U = std::remove_reference_t<X>;
  if constexpr (detail::is_matrix_view<std::remove_cv_t<U>>) {
    return x;
  } else {
    static_assert(detail::has_matrix_traits<U>,
                  "hone::as_matrix: pass a matrix_view, or include hone/interop/<library>.hpp; an expression that is "
                  "not memory yet needs .eval()");
    return view_traits<std::remove_cv_t<U>>::matrix(x);
  }
}

/// What `as_vector` and `as_matrix` take.
template <class X>
concept vector_like =
    detail::is_vector_view<std::remove_cvref_t<X>> || detail::has_vector_traits<std::remove_reference_t<X>> ||
    detail::contiguous_range<std::remove_reference_t<X>>;
template <class X>
concept matrix_like =
    detail::is_matrix_view<std::remove_cvref_t<X>> || detail::has_matrix_traits<std::remove_reference_t<X>>;

namespace detail {
template <class X>
struct element {};
template <vector_like X>
struct element<X> {
  using type = typename decltype(as_vector(std::declval<X&>()))::element_type;
};
template <matrix_like X>
  requires(!vector_like<X>)
struct element<X> {
  using type = typename decltype(as_matrix(std::declval<X&>()))::element_type;
};
}  // namespace detail

/// What a vector or matrix holds, without const.
template <class X>
using element_t = std::remove_const_t<typename detail::element<X>::type>;

/// Those whose elements may be written.
template <class X>
concept mutable_vector = vector_like<X> && !std::is_const_v<typename detail::element<X>::type>;
template <class X>
concept mutable_matrix =
    matrix_like<X> && !std::is_const_v<typename decltype(as_matrix(std::declval<X&>()))::element_type>;

}  // namespace HONE_NAMESPACE
