// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any text is a configuration that the decoder has, or a format_error that names a byte of it; what is read is written
/// and read again as it was.
#include "hone/io/config_json.hpp"

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
    const hone::transformer::config read = parse_config_json(text, "fuzz");
    hone::transformer::validate(read);
    require(parse_config_json(format_config_json(read), "again") == read);
  } catch (const format_error& error) {
    require(error.where().at <= size && !error.reason().empty());
  }
  return 0;
}
