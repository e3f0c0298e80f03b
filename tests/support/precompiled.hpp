// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What most tests include, compiled once. Every header of hone is compiled alone by tests/checks/headers.sh, so that
/// nothing hides after this.
#pragma once
#include "support/catch.hpp"

#include <Eigen/Core>
#include <nlohmann/json.hpp>

#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>
