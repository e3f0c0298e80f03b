// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any text is an index whose files stay in their folder or a format_error that names one of its bytes; an index
/// survives writing and reading.
#include "hone/io/safetensors_shards.hpp"

#include "fuzz/support.hpp"

using namespace hone::io;

FUZZ(input) {
  read_or_refused(input.size(), [&] {
    const safetensors_index index = parse_safetensors_index(input.text(), "fuzz");
    nlohmann::json written = {{"weight_map", nlohmann::json::object()}};
    if (index.total_size) written["metadata"]["total_size"] = *index.total_size;
    for (const auto& place : index.places) {
      const std::filesystem::path path = std::filesystem::path("/folder") / place.file;
      require(path.lexically_normal().string().starts_with("/folder/"));
      require(place.at < input.size());
      written["weight_map"][place.tensor] = place.file;
    }
    const safetensors_index again = parse_safetensors_index(written.dump(), "again");
    require(again.places.size() == index.places.size() && again.total_size == index.total_size);
    for (std::size_t i = 0; i < index.places.size(); ++i)
      require(again.places[i].tensor == index.places[i].tensor && again.places[i].file == index.places[i].file);
  });
}
