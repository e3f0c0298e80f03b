// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Measures of what a model has kept and forgotten.
#pragma once
#include "hone/eval/final_answer.hpp"
#include "hone/eval/fluency.hpp"
#include "hone/eval/lcs.hpp"
#include "hone/eval/membership.hpp"
#include "hone/eval/memorization.hpp"
#include "hone/eval/multiple_choice.hpp"
#include "hone/eval/numbering.hpp"
#include "hone/eval/porter.hpp"
#include "hone/eval/rouge.hpp"
#include "hone/eval/rouge_union.hpp"
#include "hone/eval/rwku.hpp"
#include "hone/eval/tofu.hpp"
