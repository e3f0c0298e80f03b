// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// SAGO on std::vector: what must be forgotten gives way wherever it would hurt what is kept.
#include "hone/gradient/combine.hpp"
#include "hone/gradient/sago.hpp"

#include <cstdio>
#include <vector>

int main() {
  const std::vector<float> forget = {1.0f, -2.0f, 0.5f};  // gradient of the forget loss
  const std::vector<float> retain = {2.0f, 1.0f, -1.0f};  // gradient of the retain loss
  std::vector<float> step(3);

  const auto report =
      hone::gradient::combine(hone::gradient::sago{}, hone::gradient::tasks(forget, retain), step, {.geometry = true});

  std::printf("step     %g %g %g\n", step[0], step[1], step[2]);  // 1 1 -1: signs differ in the last two elements
  std::printf("conflict %.2f of the elements\n", report.conflict_share());             // 0.67
  std::printf("cosine   %.3f with the retain gradient\n", report.combined_cosine(1));  // 0.943, never negative
}
