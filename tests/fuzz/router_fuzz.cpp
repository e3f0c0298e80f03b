// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any bytes, and any text as the metadata of a sound file, are a router that is folded and read, or a format_error.
#include "hone/io/router.hpp"

#include "fuzz/support.hpp"

using namespace hone;
using namespace hone::io;

namespace {

void parse(std::span<const std::byte> bytes) {
  read_or_refused(bytes.size(), [&] {
    const stored_router r = router_of(parse_safetensors(bytes, "fuzz"), "fuzz");
    require(r.width() > 0 && r.v.size() == r.layers.size() * static_cast<std::size_t>(r.width()));
    std::vector<routing::layer_sum> sums(r.layers.size());
    routing::state_sink sink(r.fold(0.5), sums.data());
    require(sink.why() == routing::fault::no_tokens);
    for (const std::int32_t state : r.layers)
      sink.add(state, {r.v.data(), 1, r.width(), r.width(), routing::number::float32});
    require(sink.why() == routing::fault::none || sink.decide() == routing::decision::large_by_fault);
  });
}

}  // namespace

FUZZ(input) {
  parse(input.bytes());
  using json = nlohmann::json;
  const std::string text = json(std::string(input.text())).dump(-1, ' ', false, json::error_handler_t::replace);
  const std::string header = "{\"__metadata__\":{\"format\":\"hone router 1\",\"router\":" + text +
                             "},\"v\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}";
  std::vector<std::byte> bytes;
  append_little_endian(bytes, std::uint64_t{header.size()});
  for (const char c : header) bytes.push_back(static_cast<std::byte>(c));
  for (const float x : {0.5f, -1.0f, 2.0f, 1e30f}) append_little_endian(bytes, x);
  parse(bytes);
}
