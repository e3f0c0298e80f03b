// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// An adapter out of a file, whichever its format.
#pragma once
#include "hone/lora/adapter.hpp"

namespace HONE_NAMESPACE::io {

struct stored_adapter {
  lora::adapter<float> adapter;  ///< its sites in the order of transformer::tensor_table
  index_t nonfinite = 0;         ///< infinite or NaN parameters: they are kept, not hidden
};

}  // namespace HONE_NAMESPACE::io
