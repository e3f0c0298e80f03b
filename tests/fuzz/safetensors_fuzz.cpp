// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any bytes are tensors that fill the file or a format_error that names one of its bytes.
#include "hone/io/safetensors.hpp"

#include "fuzz/support.hpp"

#include <fuzzer/FuzzedDataProvider.h>

using namespace hone::io;

namespace {

void parse(std::span<const std::byte> bytes) {
  read_or_refused(bytes.size(), [&] {
    const safetensors file = parse_safetensors(bytes, "fuzz");
    std::uint64_t data = 0;
    for (const stored_tensor& t : file.tensors) {
      require(find_tensor(file.tensors, t.name) == &t);
      require(t.offset + t.bytes.size() <= bytes.size());
      require(t.bytes.data() == bytes.data() + t.offset);
      require(8 * t.bytes.size() == static_cast<std::uint64_t>(t.size()) * t.type->bits);
      data += t.bytes.size();
      try {
        const std::vector<float> narrow = elements_of(t);
        const std::vector<double> wide = elements_of<double>(t);
        require(narrow.size() == wide.size());
      } catch (const format_error& error) {
        require(t.type->kind == element_kind::listed_only && error.where().at == t.offset);
      }
    }
    require(8 + load_little_endian<std::uint64_t>(bytes, 0) + data == bytes.size());
  });
}

}  // namespace

FUZZ(whole) {
  parse(whole.bytes());

  // The same as a header of the right length, and data of a length near the one that it asks for.
  FuzzedDataProvider input(whole.data, whole.count);
  std::vector<std::byte> bytes;
  const auto after = input.ConsumeIntegralInRange<std::size_t>(0, 64);
  const std::string header = "{" + input.ConsumeRemainingBytesAsString();
  append_little_endian(bytes, static_cast<std::uint64_t>(header.size()));
  const auto text = std::as_bytes(std::span(header));
  bytes.insert(bytes.end(), text.begin(), text.end());
  bytes.resize(bytes.size() + after);
  parse(bytes);

  // Sound entries one after the other, of which a few fields may be off by a little.
  FuzzedDataProvider small(whole.data, whole.count);
  constexpr const char* types[] = {"F32", "F16", "BF16", "F64", "I32", "I64", "U8", "BOOL", "F4", "F6_E2M3", "X"};
  constexpr std::uint64_t bits[] = {32, 16, 16, 64, 32, 64, 8, 8, 4, 6, 8};
  std::string entries;
  std::uint64_t offset = 0;
  const auto count = small.ConsumeIntegralInRange<int>(0, 6);
  for (int i = 0; i < count; ++i) {
    const auto type = small.ConsumeIntegralInRange<std::size_t>(0, 10);
    std::uint64_t elements = 1;
    std::string shape;
    for (int axis = small.ConsumeIntegralInRange<int>(0, 3); axis > 0; --axis) {
      const auto n = small.ConsumeIntegralInRange<std::uint64_t>(0, 5);
      elements *= n;
      shape += (shape.empty() ? "" : ",") + std::to_string(n);
    }
    const std::uint64_t begin = offset + small.PickValueInArray<std::uint64_t>({0, 0, 0, 0, 0, 1, ~std::uint64_t{0}});
    offset += elements * bits[type] / 8;
    entries += std::string(entries.empty() ? "" : ",") + "\"" +
               std::string(1, static_cast<char>('a' + small.ConsumeIntegralInRange<int>(0, 9))) + "\":{\"dtype\":\"" +
               types[type] + "\",\"shape\":[" + shape + "],\"data_offsets\":[" + std::to_string(begin) + "," +
               std::to_string(offset) + "]}";
  }
  entries = "{" + entries + "}";
  std::vector<std::byte> sound;
  append_little_endian(sound, static_cast<std::uint64_t>(entries.size()));
  const auto sound_text = std::as_bytes(std::span(entries));
  sound.insert(sound.end(), sound_text.begin(), sound_text.end());
  const std::vector<std::uint8_t> rest = small.ConsumeRemainingBytes<std::uint8_t>();
  for (std::uint64_t i = 0; i < offset; ++i) sound.push_back(std::byte{i < rest.size() ? rest[i] : std::uint8_t{0}});
  parse(sound);
}
