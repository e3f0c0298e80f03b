// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A masked-diffusion model that somebody has.
#pragma once
#include "diffuse/settings.hpp"

namespace diffuse {

/// Refuses @p c, of the folder @p path, unless it is such a model; gives it the mask that is told where it says none.
/// @throws std::runtime_error.
inline void require_masked_diffusion(const std::string& path, transformer::config& c, std::optional<index_t> mask) {
  program::require(!c.causal, "%s: a model that writes from left to right, as `generate` does", path.c_str());
  program::require(c.mask_token >= 0 || mask, "%s: does not say which token is the mask (--mask-token does)",
                   path.c_str());
  if (!mask) return;
  program::require(*mask < c.vocab, "--mask-token %td: the vocabulary has %td", *mask, c.vocab);
  program::require(c.mask_token < 0 || *mask == c.mask_token, "--mask-token %td: the mask of %s is %d", *mask,
                   path.c_str(), c.mask_token);
  c.mask_token = static_cast<std::int32_t>(*mask);
}

}  // namespace diffuse
