// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any text is a tree or a format_error that names one of its bytes; a tree is what nlohmann's own parser makes of the
/// text, and survives writing and reading.
#include "hone/io/json.hpp"

#include "fuzz/support.hpp"

using namespace hone::io;

FUZZ(input) {
  read_or_refused(input.size(), [&] {
    const json_document read = parse_json(input.text(), "fuzz");
    require(read.root == nlohmann::json::parse(input.text()));
    require(parse_json(read.root.dump(), "again").root == read.root);
    for (const auto& [key, at] : read.at) require(at < input.size());
  });
}
