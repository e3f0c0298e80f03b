// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Experts that choose: how many tokens each takes.
#pragma once
#include "hone/moe/schedule.hpp"
