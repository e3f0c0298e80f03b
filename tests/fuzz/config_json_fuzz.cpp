// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any text is a configuration that the decoder has, or a format_error that names a byte of it; what is read is written
/// and read again as it was.
#include "hone/io/config_json.hpp"

#include "fuzz/support.hpp"

using namespace hone::io;

FUZZ(input) {
  read_or_refused(input.size(), [&] {
    const hone::transformer::config read = parse_config_json(input.text(), "fuzz");
    hone::transformer::validate(read);
    require(parse_config_json(format_config_json(read), "again") == read);
  });
}
