// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// CAGrad on xtensor: two tasks of equal standing, views of one tensor.
#include "hone/gradient/combine.hpp"
#include "hone/gradient/mgda.hpp"
#include "hone/interop/xtensor.hpp"

#include <cstdio>

#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>

int main() {
  const xt::xtensor<double, 2> gradients = {{-4, 1, 1}, {6, 1, 1}};
  auto step = xt::xtensor<double, 1>::from_shape({3});

  hone::gradient::combine(hone::gradient::cagrad{.c = 0.5},
                          hone::gradient::tasks(xt::view(gradients, 0, xt::all()), xt::view(gradients, 1, xt::all())),
                          step);

  std::printf("step %.3f %.3f %.3f\n", step(0), step(1), step(2));  // 0.184 1.204 1.204: both tasks improve
}
