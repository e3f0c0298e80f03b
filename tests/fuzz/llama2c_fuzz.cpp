// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any bytes are a checkpoint or a format_error; what is read is written and read again to the same bits.
#include "hone/io/llama2c.hpp"

#include "fuzz/support.hpp"

#include <fuzzer/FuzzedDataProvider.h>

using namespace hone::io;

namespace {

void parse(std::span<const std::byte> bytes) {
  read_or_refused(bytes.size(), [&] {
    const checkpoint read = parse_llama2c(bytes, "fuzz");
    require(read.parameters.size() == static_cast<std::size_t>(hone::transformer::parameter_count(read.config)));
    if (read.config.max_seq > 1000) return;  // the tables of a version 1 header may be larger than memory
    const checkpoint again = parse_llama2c(format_llama2c(read.config, read.parameters), "again");
    require(again.config == read.config && again.nonfinite == read.nonfinite);
    require(std::memcmp(again.parameters.data(), read.parameters.data(), 4 * read.parameters.size()) == 0);
  });
}

}  // namespace

FUZZ(whole) {
  parse(whole.bytes());

  // The same with a header of small numbers and the size that they ask for, or one near it.
  FuzzedDataProvider input(whole.data, whole.count);
  const bool versioned = input.ConsumeBool();
  std::vector<std::byte> bytes;
  if (versioned) {
    append_little_endian(bytes, detail::llama2c_magic);
    append_little_endian(bytes, std::int32_t{1});
  }
  std::int32_t field[7];
  for (auto& number : field) number = input.ConsumeIntegralInRange<std::int32_t>(-1, 8);
  if (input.ConsumeBool()) field[5] = -field[5];
  for (const std::int32_t number : field) append_little_endian(bytes, number);
  const bool tied = versioned ? input.ConsumeBool() : field[5] > 0;
  if (versioned) {
    append_little_endian(bytes, static_cast<std::uint8_t>(tied));
    bytes.resize(256);
  }
  if (field[3] > 0) {
    const hone::transformer::config c{.d_model = field[0],
                                      .d_ff = field[1],
                                      .n_layers = field[2],
                                      .n_heads = field[3],
                                      .n_kv_heads = field[4],
                                      .vocab = std::abs(field[5]),
                                      .max_seq = field[6],
                                      .tie_embeddings = tied};
    const double size_asked = static_cast<double>(bytes.size()) + 4 * detail::llama2c_elements(c, !versioned);
    const std::vector<std::uint8_t> rest = input.ConsumeRemainingBytes<std::uint8_t>();
    for (const std::uint8_t byte : rest) bytes.push_back(std::byte{byte});
    const std::size_t longer = rest.size() % 16 == 15 ? 1 : 0;
    if (size_asked > 0) bytes.resize(static_cast<std::size_t>(size_asked) + longer);
  }
  parse(bytes);
}
