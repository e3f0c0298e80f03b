// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Memory that nobody may write to, offered to what writes: a stride of 0, none at all, a negative size, rows in each
/// other's way. Each must be refused with "function: argument:", and nothing may be written before.
#pragma once
#include "hone/core/output.hpp"

#include "support/catch.hpp"

#include <string>
#include <vector>

/// f(view) of @p n elements (at least 2) of T; @p name is "function: argument: ".
template <class T, class F>
void check_refuses_vectors(hone::index_t n, const std::string& name, F&& f) {
  std::vector<T> memory(static_cast<std::size_t>(n), T(2.0f));
  const auto before = memory;
  CHECK_THROWS_WITH(f(hone::vector_view<T>(memory.data(), n, 0)), Catch::StartsWith(name));
  CHECK_THROWS_WITH(f(hone::vector_view<T>(nullptr, n)), Catch::StartsWith(name));
  CHECK_THROWS_WITH(f(hone::vector_view<T>(memory.data(), -n)), Catch::StartsWith(name));
  CHECK(std::equal(memory.begin(), memory.end(), before.begin(), [](T x, T y) { return float(x) == float(y); }));
}

/// f(view) of @p rows x @p cols elements (at least 2 x 2).
template <class T, class F>
void check_refuses_matrices(hone::index_t rows, hone::index_t cols, const std::string& name, F&& f) {
  std::vector<T> memory(static_cast<std::size_t>(rows * cols), T(2.0f));
  const auto before = memory;
  for (const auto& [down, right] : {std::pair<hone::index_t, hone::index_t>{0, 1}, {cols, 0}, {cols - 1, 1}, {1, 1}}) {
    CAPTURE(down, right);
    CHECK_THROWS_WITH(f(hone::matrix_view<T>(memory.data(), rows, cols, down, right)), Catch::StartsWith(name));
  }
  CHECK_THROWS_WITH(f(hone::matrix_view<T>(nullptr, rows, cols)), Catch::StartsWith(name));
  CHECK_THROWS_WITH(f(hone::matrix_view<T>(memory.data(), -rows, cols)), Catch::StartsWith(name));
  CHECK_THROWS_WITH(f(hone::matrix_view<T>(memory.data(), rows, -cols)), Catch::StartsWith(name));
  CHECK(std::equal(memory.begin(), memory.end(), before.begin(), [](T x, T y) { return float(x) == float(y); }));
}

/// f(span) of @p n elements (at least 1) that has no memory.
template <class T, class F>
void check_refuses_spans(std::size_t n, const std::string& name, F&& f) {
  CHECK_THROWS_WITH(f(std::span<T>(static_cast<T*>(nullptr), n)),
                    name + "has " + std::to_string(n) + " elements and no memory");
}
