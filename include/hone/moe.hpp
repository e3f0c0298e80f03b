// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Experts that choose and experts that are chosen: routers, plans, schedules of capacity.
#pragma once
#include "hone/moe/plan.hpp"
#include "hone/moe/router.hpp"
#include "hone/moe/schedule.hpp"
