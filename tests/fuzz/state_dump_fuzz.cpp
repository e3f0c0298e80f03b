// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any bytes are a dump of states, each of which lies in the file, or a format_error; and so of pooled states.
#include "hone/io/pooled_states.hpp"
#include "hone/io/vllm_states.hpp"

#include "fuzz/support.hpp"

using namespace hone;
using namespace hone::io;

FUZZ(input) {
  read_or_refused(input.size(), [&] {
    const state_dump d = state_dump_of(parse_safetensors(input.bytes(), "fuzz"), "fuzz");
    require(!d.tokens.empty() && d.layers > 0 && d.width > 0);
    std::vector<float> pooled(static_cast<std::size_t>(d.layers * d.width));
    const wanted_states want{.states = static_cast<std::int32_t>(d.layers), .last = routing::last_state::before_norm};
    pool_states(d, want, routing::token_pooling::mean, {pooled.data(), d.layers, d.width});
    for (index_t layer = 0; layer < d.layers; ++layer) {
      const routing::state_rows rows = d.rows(layer);
      const auto* end = static_cast<const std::byte*>(rows.data) +
                        ((rows.rows - 1) * rows.stride + d.width) * (rows.type == routing::number::float32 ? 4 : 2);
      require(rows.data >= input.bytes().data() && end <= input.bytes().data() + input.size());
    }
  });
  read_or_refused(input.size(), [&] {
    const pooled_states p = pooled_states_of(parse_safetensors(input.bytes(), "fuzz"), "fuzz");
    require(p.ids.empty() || std::ssize(p.ids) == p.samples);
    std::vector<float> read(static_cast<std::size_t>(p.samples * p.layers * p.width));
    p.with([&](const auto& x) {
      require(x.samples() == p.samples && !read.empty());
      copy_tokens(x, {}, routing::states_view<float>(read.data(), p.samples, p.layers, p.width));
    });
  });
}
