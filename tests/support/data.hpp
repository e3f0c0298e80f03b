// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Real data, read where it is present.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

/// The file @p relative below $HONE_DATA, or below the project's data/ or, without that, ../shared/data; when it is not
/// there, nothing, and a line that says what is skipped.
inline std::optional<std::filesystem::path> data_file(const std::string& relative) {
  const std::filesystem::path project = HONE_PROJECT;
  const char* told = std::getenv("HONE_DATA");
  const bool own = std::filesystem::is_directory(project / "data");
  const std::filesystem::path path = (told ? told : project / (own ? "data" : "../shared/data")) / relative;
  if (std::filesystem::exists(path)) return path;
  std::fprintf(stderr, "skipped: %s is not there (set HONE_DATA)\n", relative.c_str());
  return std::nullopt;
}
