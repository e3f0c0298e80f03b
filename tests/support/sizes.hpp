// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Numbers of tasks that tests run over.
#pragma once
#include <cstddef>
#include <type_traits>

/// f(std::integral_constant<std::size_t, K>) for K = 1, 2, 3, 5, 8, 16.
template <class F>
void for_each_k(F&& f) {
  const auto one = [&]<std::size_t K>() { f(std::integral_constant<std::size_t, K>()); };
  one.template operator()<1>();
  one.template operator()<2>();
  one.template operator()<3>();
  one.template operator()<5>();
  one.template operator()<8>();
  one.template operator()<16>();
}
