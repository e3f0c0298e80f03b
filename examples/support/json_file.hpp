// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What `--json` writes.
#pragma once
#include "hone/io/file.hpp"

#include <string>

#include <nlohmann/json.hpp>

namespace program {

/// Writes @p result as the whole of @p file; to nowhere if that is empty.
inline void write_json(const std::string& file, const nlohmann::json& result) {
  if (file.empty()) return;
  hone::io::atomic_file out(file);
  out.write(result.dump(1) + "\n");
  out.commit();
}

}  // namespace program
