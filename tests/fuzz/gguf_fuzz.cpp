// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Any bytes are metadata and tensors inside the file or a format_error that names one of its bytes; metadata that are
/// read are written and read again to the same bits.
#include "hone/io/gguf_writer.hpp"

#include "fuzz/support.hpp"
#include "io/gguf_bytes.hpp"

#include <fuzzer/FuzzedDataProvider.h>

using namespace hone::io;

namespace {

std::vector<std::byte> written(const gguf_metadata& metadata) {
  gguf_bytes file;
  file.header(0, static_cast<std::int64_t>(metadata.size()));
  for (const auto& [key, value] : metadata) {
    detail::append_gguf_text(file.bytes, key);
    detail::append_gguf_value(file.bytes, value);
  }
  return file.bytes;
}

void parse(std::span<const std::byte> bytes) {
  read_or_refused(bytes.size(), [&] {
    const gguf file = parse_gguf(bytes, "fuzz");
    for (const stored_tensor& t : file.tensors) {
      require(find_tensor(file.tensors, t.name) == &t);
      require(t.offset % file.alignment == 0 && t.offset + t.bytes.size() <= bytes.size());
      require(t.bytes.data() == bytes.data() + t.offset && !t.bytes.empty());
      try {
        const std::vector<float> narrow = elements_of(t);
        const std::vector<double> wide = elements_of<double>(t);
        require(narrow.size() == wide.size());
      } catch (const format_error& error) {
        require(t.type->kind == element_kind::listed_only && error.where().at == t.offset);
      }
    }
    for (const auto& [key, value] : file.metadata) {
      const auto whole = file.whole(key);
      require(!whole || file.real(key));
      require((file.text(key) != nullptr) == std::holds_alternative<std::string>(value));
    }
    const std::vector<std::byte> once = written(file.metadata);
    require(written(parse_gguf(once, "again").metadata) == once);  // by bytes, where NaN is NaN
  });
}

}  // namespace

FUZZ(whole) {
  parse(whole.bytes());

  // The same with sound lengths and types, of which a few fields may be off by a little.
  FuzzedDataProvider input(whole.data, whole.count);
  const auto off = [&] { return input.PickValueInArray<std::uint64_t>({0, 0, 0, 0, 0, 0, 1, ~std::uint64_t{0}}); };
  const auto pairs = input.ConsumeIntegralInRange<std::int64_t>(0, 4);
  const auto tensors = input.ConsumeIntegralInRange<std::int64_t>(0, 4);
  gguf_bytes file;
  file.header(tensors, pairs, input.ConsumeBool() ? 3 : 2);
  for (std::int64_t i = 0; i < pairs; ++i) {
    file.text(i == 0 && input.ConsumeBool() ? "general.alignment" : std::string(1, static_cast<char>('a' + i)));
    const auto type = input.ConsumeIntegralInRange<std::int32_t>(0, 13);
    file.number(type);
    const auto element = type == 9 ? input.ConsumeIntegralInRange<std::int32_t>(0, 12) : type;
    std::uint64_t count = 1;
    if (type == 9) {
      count = input.ConsumeIntegralInRange<std::uint64_t>(0, 4);
      file.number(element).number(count + off());
    }
    constexpr std::size_t bytes[14] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8, 0};
    for (std::uint64_t k = 0; k < count; ++k)
      if (element == 8)
        file.text(input.ConsumeRandomLengthString(8));
      else
        for (std::size_t b = 0; b < bytes[element]; ++b) file.number(input.ConsumeIntegral<std::uint8_t>());
  }
  std::uint64_t offset = 0;
  for (std::int64_t i = 0; i < tensors; ++i) {
    std::vector<std::int64_t> sizes;
    std::uint64_t elements = 1;
    for (int axis = input.ConsumeIntegralInRange<int>(0, 4); axis > 0; --axis) {
      sizes.push_back(sizes.empty() && input.ConsumeBool() ? 32 : input.ConsumeIntegralInRange<std::int64_t>(1, 4));
      elements *= static_cast<std::uint64_t>(sizes.back());
    }
    const auto type = input.PickValueInArray<std::uint32_t>({0, 1, 8, 30, 26, 27, 28, 2, 40});
    file.tensor(std::string(1, static_cast<char>('a' + input.ConsumeIntegralInRange<int>(0, 9))), sizes, type,
                offset + off());
    const std::uint64_t bytes = type == 8   ? elements / 32 * 34
                                : type == 2 ? elements / 32 * 18
                                            : elements * (type == 0 || type == 26    ? 4u
                                                          : type == 27 || type == 28 ? 8u
                                                                                     : 2u);
    offset = (offset + bytes + 31) / 32 * 32;
  }
  file.pad(32);
  const std::vector<std::uint8_t> rest = input.ConsumeRemainingBytes<std::uint8_t>();
  for (std::uint64_t i = 0; i + off() % 2 < offset; ++i) file.number(i < rest.size() ? rest[i] : std::uint8_t{0});
  parse(file.bytes);
}
