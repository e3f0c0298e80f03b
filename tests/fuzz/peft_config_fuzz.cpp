// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any text is a configuration of positive ranks and scales or a format_error that names one of its bytes.
#include "hone/io/peft.hpp"

#include <cstdlib>

using namespace hone::io;

namespace {

void require(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const peft_config config = parse_peft_config(text, "fuzz");
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
  } catch (const format_error& error) {
    require(error.where().at <= size);
  }
  return 0;
}
