// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// PCGrad on Eigen: the same call, on a matrix's rows, in place.
#include "hone/gradient/combine.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/interop/eigen.hpp"

#include <cstdio>

int main() {
  Eigen::MatrixXf gradients(2, 3);  // column-major: a row is strided memory, and is read as such
  gradients << 1.0f, -2.0f, 0.5f,   // row 0: forget
      2.0f, 1.0f, -1.0f;            // row 1: retain

  auto forget = gradients.row(0);
  hone::gradient::combine(hone::gradient::pcgrad{}, hone::gradient::tasks(forget, gradients.row(1)), forget);

  std::printf("step %.3f %.3f %.3f\n", gradients(0, 0), gradients(0, 1), gradients(0, 2));  // 3.167 -0.917 -0.583
}
