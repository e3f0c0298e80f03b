// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Which of two models, or more, should answer: deferral curves and their figures.
#pragma once
#include "hone/routing/deferral.hpp"
