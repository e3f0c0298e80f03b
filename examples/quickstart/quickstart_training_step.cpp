// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// SAGO inside an own training step: the combination is handed to the optimiser block by block and never stored.
#include "hone/core/thread_pool.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/gradient/sago.hpp"

#include <cstdio>
#include <vector>

int main() {
  std::vector<float> parameters = {0.5f, -0.5f, 1.0f};
  hone::thread_pool pool(2);

  for (int step = 0; step < 3; ++step) {
    std::vector<float> forget(3), retain(3);  // your trainer fills these
    for (std::size_t i = 0; i < 3; ++i) forget[i] = parameters[i], retain[i] = parameters[i] - 1;

    const auto descend = [&](hone::index_t begin, hone::vector_view<const float> block) {  // your optimiser
      for (hone::index_t i = 0; i < block.size(); ++i)
        parameters[static_cast<std::size_t>(begin + i)] -= 0.1f * block[i];
    };
    const auto report = hone::gradient::combine(hone::gradient::sago{}, hone::gradient::tasks(forget, retain), descend,
                                                {.geometry = true}, pool);
    std::printf("step %d: cosine(forget, retain) %+.3f, cosine(step, retain) %+.3f\n", step, report.cosine(0, 1),
                report.combined_cosine(1));  // the second is never negative
  }
}
