// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Real data, read where it is present.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

/// The file @p relative below $HONE_DATA, or below shared/data beside the project; when it is not there, nothing, and
/// a line that says what is skipped.
inline std::optional<std::filesystem::path> data_file(const std::string& relative) {
  const char* folder = std::getenv("HONE_DATA");
  const std::filesystem::path path = std::filesystem::path(folder ? folder : HONE_DATA_DEFAULT) / relative;
  if (std::filesystem::exists(path)) return path;
  std::fprintf(stderr, "skipped: %s is not there (set HONE_DATA)\n", relative.c_str());
  return std::nullopt;
}
