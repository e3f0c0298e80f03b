// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any text is a configuration of positive ranks and scales or a format_error that names one of its bytes.
#include "hone/io/peft.hpp"

#include "fuzz/support.hpp"

using namespace hone::io;

FUZZ(input) {
  read_or_refused(input.size(), [&] {
    const peft_config config = parse_peft_config(input.text(), "fuzz");
    require(config.rank > 0 && config.alpha > 0);
    std::vector<std::string> modules = config.target_modules;
    for (const auto& pattern : {config.rank_pattern, config.alpha_pattern})
      for (const auto& [key, value] : pattern) {
        require(value > 0);
        modules.push_back("model." + key);
      }
    for (const std::string& module : modules) {
      require(config.rank_of(module) >= 1 && config.scale_of(module) > 0);
      require(config.targets(module) == config.targets(module));
    }
  });
}
