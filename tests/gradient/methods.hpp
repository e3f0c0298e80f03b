// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Every two-task method without state, for the tests of the driver.
#pragma once
#include "hone/gradient/aligned.hpp"
#include "hone/gradient/clip.hpp"
#include "hone/gradient/graddrop.hpp"
#include "hone/gradient/gradvac.hpp"
#include "hone/gradient/imtl.hpp"
#include "hone/gradient/mgda.hpp"
#include "hone/gradient/nash.hpp"
#include "hone/gradient/orthogonal.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"
#include "hone/gradient/upgrad.hpp"

#include "gradient/support.hpp"

#include <functional>

/// Any method on products, in one type: the driver is compiled for it once.
struct by_products {
  std::function<std::array<double, 2>(const hone::gradient::gram_matrix<2>&)> solve;
  std::function<void()> verify;

  template <class Method>
  explicit by_products(const Method& method)
      : solve([method](const auto& g) { return std::array<double, 2>(method.weights(g)); }),
        verify([method] { method.check(); }) {}
  [[nodiscard]] std::array<double, 2> weights(const hone::gradient::gram_matrix<2>& g) const { return solve(g); }
  void check() const { verify(); }
};

/// f(method) for each.
template <class F>
void for_each_method(F&& f) {
  using namespace hone::gradient;
  f(sago{.retain = 0.5, .forget = 2});
  f(sago_prefer_retain{});
  f(hone::gradient::sum{});
  f(sago_soft{.sharpness = 3});
  f(sago_noise_aware{.threshold = 0.1});
  f(graddrop<2>{.seed = 3, .step = 8, .leak = {0.25, 0}});
  f(pcgrad{.retain = 0.5});
  f(by_products(blur{}));
  f(by_products(a_gem{}));
  f(by_products(gradvac_one_sided{.target = 0.25}));
  f(by_products(pcgrad_symmetric{}));
  f(by_products(pcgrad_symmetric{.order = {.random = true, .seed = 5}}));
  f(by_products(mgda{}));
  f(by_products(cagrad{}));
  f(by_products(imtl_g{}));
  f(by_products(conflict_free<2>{}));
  f(by_products(nash_mtl{}));
  f(by_products(aligned_mtl<2>{}));
  f(by_products(upgrad<2>{}));
  f(by_products(dual_projection<2>{}));
  f(by_products(gem{}));
  f(by_products(retain_orthogonal{}));
  f(by_products(clipped<pcgrad>{.method = {}, .max_norm = 0.5}));
}

template <class Out>
std::vector<double> widened(const Out& out) {
  std::vector<double> result;
  const auto view = hone::as_vector(out);
  for (hone::index_t i = 0; i < view.size(); ++i) result.push_back(static_cast<double>(hone::to_accumulator(view[i])));
  return result;
}
