// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The version, written down here alone: CMake, its package and pkg-config read it from this file.
#pragma once

/// 10000 major + 100 minor + patch, for the preprocessor.
#define HONE_VERSION 100

namespace hone {

inline constexpr int version_major = HONE_VERSION / 10000;
inline constexpr int version_minor = HONE_VERSION / 100 % 100;
inline constexpr int version_patch = HONE_VERSION % 100;

}  // namespace hone
