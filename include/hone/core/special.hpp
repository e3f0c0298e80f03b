// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// The special functions of statistics: gamma.hpp (log Gamma, digamma, trigamma, incomplete gamma), beta.hpp
/// (incomplete beta, Student's t), normal.hpp.
#pragma once
#include "hone/core/beta.hpp"
#include "hone/core/gamma.hpp"
#include "hone/core/normal.hpp"
