// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Layers and their adapters for the tests of lora/.
#pragma once
#include "hone/lora/initialise.hpp"

#include "linalg/dense_support.hpp"
#include "support/catch.hpp"

/// A layer of random weights with one site, before and after an initialisation.
template <class T, class U = T>
struct layer {
  hone::lora::site site;
  std::vector<T> weight, before;
  std::vector<U> parameters;

  layer(hone::index_t outputs, hone::index_t inputs, hone::index_t rank, double scale, std::uint32_t seed = 1)
      : layer(normal_matrix(outputs, inputs, seed), rank, scale) {}
  layer(const hone::linalg::matrix& w, hone::index_t rank, double scale)
      : site{"layer", w.rows(), w.cols(), rank, scale, 5}, weight(row_major<T>(w)), before(weight),
        parameters(static_cast<std::size_t>(site.offset + site.size() + 3),
                   hone::from_accumulator<U>(hone::accumulator_t<U>{7})) {}

  [[nodiscard]] hone::matrix_view<T> w() { return {weight.data(), site.outputs, site.inputs}; }
  [[nodiscard]] hone::linalg::matrix now() const { return of(weight); }
  [[nodiscard]] hone::linalg::matrix original() const { return of(before); }
  [[nodiscard]] hone::linalg::matrix a() const { return hone::linalg::copy_of(site.a(parameters.data())); }
  [[nodiscard]] hone::linalg::matrix b() const { return hone::linalg::copy_of(site.b(parameters.data())); }
  /// max |W + s B A - W0|, from what is stored.
  [[nodiscard]] double changed() const { return largest(now() + site.scale * b() * a() - original()); }
  /// Whether the elements around the site are as they were.
  [[nodiscard]] bool others_untouched() const {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto at = static_cast<hone::index_t>(i);
      if ((at < site.offset || at >= site.offset + site.size()) && static_cast<float>(parameters[i]) != 7) return false;
    }
    return true;
  }

 private:
  [[nodiscard]] hone::linalg::matrix of(const std::vector<T>& x) const {
    return hone::linalg::copy_of(hone::matrix_view<const T>(x.data(), site.outputs, site.inputs));
  }
};

/// A method of one's own: what it proposes is given.
struct given {
  hone::lora::proposal start;
  template <hone::scalar T>
  [[nodiscard]] hone::lora::proposal propose(const hone::matrix_view<const T>&, const hone::lora::site&) const {
    return start;
  }
};

/// Half a unit in the last place of T, relative.
template <class T>
inline constexpr double half_ulp = std::is_same_v<T, double>  ? 0x1p-53
                                   : std::is_same_v<T, float> ? 0x1p-24
                                                              : 0x1p-8;
