// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The ways to make one gradient of two that `unlearn` knows, by name. The losses carry the weights.
#pragma once
#include "hone/core/thread_pool.hpp"
#include "hone/gradient/combine.hpp"
#include "hone/gradient/mgda.hpp"
#include "hone/gradient/pcgrad.hpp"
#include "hone/gradient/sago.hpp"

#include <span>
#include <vector>

namespace unlearn {

using namespace hone;

/// retain <- the combination of forget and retain; @p tensors are the borders of the model's tensors.
using combine_function = gradient::combine_report<2> (*)(const std::vector<float>& forget, std::vector<float>& retain,
                                                         std::span<const index_t> tensors, thread_pool& pool);

template <class Method, bool ByTensor = false>
gradient::combine_report<2> combine_with(const std::vector<float>& forget, std::vector<float>& retain,
                                         std::span<const index_t> tensors, thread_pool& pool) {
  if (!ByTensor) tensors = {};
  return gradient::combine(Method{}, gradient::tasks(forget, retain), retain, {.groups = tensors, .geometry = true},
                           pool);
}

struct combination {
  const char* name;
  combine_function combine;
};
inline constexpr combination combinations[] = {{"sum", combine_with<gradient::sum>},
                                               {"pcgrad", combine_with<gradient::pcgrad, true>},
                                               {"pcgrad_global", combine_with<gradient::pcgrad>},
                                               {"sago", combine_with<gradient::sago>},
                                               {"sago_prefer_retain", combine_with<gradient::sago_prefer_retain>},
                                               {"blur", combine_with<gradient::blur>},
                                               {"a_gem", combine_with<gradient::a_gem>},
                                               {"mgda", combine_with<gradient::mgda>},
                                               {"cagrad", combine_with<gradient::cagrad>}};

}  // namespace unlearn
