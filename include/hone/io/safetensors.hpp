// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// safetensors: 8 bytes of header length N (at most 100,000,000), N bytes of JSON, the data.
///   {"__metadata__": {text: text}, NAME: {"dtype": TYPE, "shape": [n, …], "data_offsets": [begin, end]}, …}
/// Row-major, little-endian; offsets from the data's start. The tensors fill the data without holes and overlap, to its
/// last byte; a rank of 0 and sizes of 0 are allowed. [huggingface/safetensors, tensor.rs]
#pragma once
#include "hone/io/json.hpp"
#include "hone/io/stored_tensor.hpp"

namespace HONE_NAMESPACE::io {

/// What a file, or a model in several, holds.
struct safetensors {
  std::vector<stored_tensor> tensors;           ///< sorted by name: `find_tensor`
  std::map<std::string, std::string> metadata;  ///< of several files, the first one's
  std::vector<mapped_file> files;               ///< where the bytes of the tensors lie; empty after parse_safetensors
};

namespace detail {

inline constexpr std::uint64_t safetensors_header_limit = 100'000'000;

/// In the order of the format's own list, which is that of alignment.
inline constexpr element_type safetensors_types[] = {{"BOOL", element_kind::listed_only, 1, 8},
                                                     {"F4", element_kind::listed_only, 1, 4},
                                                     {"F6_E2M3", element_kind::listed_only, 1, 6},
                                                     {"F6_E3M2", element_kind::listed_only, 1, 6},
                                                     {"U8", element_kind::uint8, 1, 8},
                                                     {"I8", element_kind::listed_only, 1, 8},
                                                     {"F8_E5M2", element_kind::listed_only, 1, 8},
                                                     {"F8_E4M3", element_kind::listed_only, 1, 8},
                                                     {"F8_E8M0", element_kind::listed_only, 1, 8},
                                                     {"F8_E4M3FNUZ", element_kind::listed_only, 1, 8},
                                                     {"F8_E5M2FNUZ", element_kind::listed_only, 1, 8},
                                                     {"I16", element_kind::listed_only, 1, 16},
                                                     {"U16", element_kind::listed_only, 1, 16},
                                                     {"F16", element_kind::float16, 1, 16},
                                                     {"BF16", element_kind::bfloat16, 1, 16},
                                                     {"I32", element_kind::int32, 1, 32},
                                                     {"U32", element_kind::listed_only, 1, 32},
                                                     {"F32", element_kind::float32, 1, 32},
                                                     {"C64", element_kind::listed_only, 1, 64},
                                                     {"F64", element_kind::float64, 1, 64},
                                                     {"I64", element_kind::int64, 1, 64},
                                                     {"U64", element_kind::listed_only, 1, 64}};

/// Takes the header's tokens.
class safetensors_header {
 public:
  struct entry {
    std::uint64_t at;  ///< of its name in the file
    stored_tensor tensor;
    std::vector<std::uint64_t> shape, offsets;
  };

  explicit safetensors_header(const std::string& file) : file_(file) {}

  std::vector<entry> entries;
  std::map<std::string, std::string> metadata;

  [[noreturn]] void fail(std::uint64_t at, const std::string& reason) const {
    throw format_error(file_, {position::unit::byte, at}, reason);
  }
  [[noreturn]] void fail(const entry& e, const std::string& reason) const {
    fail(e.at, "tensor \"" + e.tensor.name + "\": " + reason);
  }

  void operator()(const json_event& e) {
    switch (e.depth) {
      case 0: return;  // the object, which its first byte shows it to be
      case 1: return in_header(e);
      case 2: return in_metadata_ ? in_metadata(e) : in_entry(e);
      default: return in_numbers(e);
    }
  }

 private:
  using kind = json_event::kind;

  void in_header(const json_event& e) {
    if (e.is == kind::key) {
      in_metadata_ = *e.text == "__metadata__";
      if (!in_metadata_) entries.push_back({e.at, {std::move(*e.text), nullptr, {}, {}, 0, nullptr}, {}, {}});
      seen_ = 0;
    } else if (e.is == kind::end_object) {
      if (!in_metadata_ && seen_ != 7)
        fail(entries.back(), std::string("has no \"") + fields[seen_ & 1 ? (seen_ & 2 ? 2 : 1) : 0] + "\"");
    } else if (e.is != kind::begin_object && !(in_metadata_ && e.is == kind::null)) {
      in_metadata_ ? fail(e.at, "\"__metadata__\" is not an object") : fail(entries.back(), "is not an object");
    }
  }
  void in_metadata(const json_event& e) {
    if (e.is == kind::key)
      key_ = std::move(*e.text);
    else if (e.is != kind::string)
      fail(e.at, "\"__metadata__\": \"" + key_ + "\" is not a string");
    else
      metadata.emplace(key_, std::move(*e.text));
  }
  void in_entry(const json_event& e) {
    entry& now = entries.back();
    if (e.is == kind::key) {
      for (field_ = 0; field_ < 3 && *e.text != fields[field_];) ++field_;
      if (field_ == 3) fail(now, "has an unknown field \"" + *e.text + "\"");
      seen_ |= 1u << field_;
    } else if (field_ == 0) {
      if (e.is != kind::string) fail(now, "\"dtype\" is not a string");
      for (const element_type& type : safetensors_types)
        if (*e.text == type.name) now.tensor.type = &type;
      if (now.tensor.type == nullptr) fail(now, "unknown dtype \"" + *e.text + "\"");
    } else if (e.is == kind::end_array) {
      if (field_ == 2 && now.offsets.size() != 2) fail(now, "\"data_offsets\" are not two numbers");
    } else if (e.is != kind::begin_array) {
      fail(now, std::string("\"") + fields[field_] + "\" is not an array");
    }
  }
  void in_numbers(const json_event& e) {
    entry& now = entries.back();
    if (e.is != kind::whole)
      fail(e.at,
           "tensor \"" + now.tensor.name + "\": \"" + fields[field_] + "\" holds something other than whole numbers");
    (field_ == 1 ? now.shape : now.offsets).push_back(e.whole);
  }

  static constexpr const char* fields[3] = {"dtype", "shape", "data_offsets"};
  const std::string& file_;
  std::string key_;
  bool in_metadata_ = false;
  unsigned seen_ = 0;
  std::size_t field_ = 0;
};

}  // namespace detail

/// Parses a file in memory; the tensors are views of @p bytes. @p file is what errors call it.
/// @throws format_error with the byte, unless every rule above holds; a dtype that the format knows and hone does not
///         convert is no error before its elements are asked for.
/// @note Memory is bounded by the header, which is bounded by the file; no tensor is touched.
inline safetensors parse_safetensors(std::span<const std::byte> bytes, const std::string& file) {
  detail::safetensors_header header(file);
  const auto count = [](std::uint64_t n) { return std::to_string(n) + (n == 1 ? " byte" : " bytes"); };
  if (bytes.size() < 8) header.fail(bytes.size(), "too short for the 8 bytes of the header's length");
  const auto length = load_little_endian<std::uint64_t>(bytes, 0);
  if (length > detail::safetensors_header_limit)
    header.fail(0, "a header of " + count(length) + ", at most 100000000 are allowed");
  if (length > bytes.size() - 8)
    header.fail(0, "a header of " + count(length) + " in a file of " + count(bytes.size()));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8, static_cast<std::size_t>(length));
  if (!text.starts_with('{')) header.fail(8, "the header does not begin with '{'");
  parse_json_events(text, file, header, 8);

  const std::span<const std::byte> data = bytes.subspan(8 + static_cast<std::size_t>(length));
  auto& entries = header.entries;
  for (auto& e : entries) {
    std::uint64_t bits = 1;
    for (const std::uint64_t n : e.shape)
      if (!detail::multiply(bits, n)) header.fail(e, "the product of its shape overflows");
    if (!detail::multiply(bits, e.tensor.type->bits)) header.fail(e, "its size in bits overflows");
    const std::uint64_t begin = e.offsets[0], end = e.offsets[1];
    if (begin > end)
      header.fail(e, "its data begin at " + std::to_string(begin) + " and end at " + std::to_string(end));
    if (end > data.size())
      header.fail(e,
                  "its data end at " + std::to_string(end) + ", those of the file at " + std::to_string(data.size()));
    if (bits % 8 != 0 || bits / 8 != end - begin)
      header.fail(e, "its data have " + count(end - begin) + ", its shape asks for " +
                         (bits % 8 != 0 ? std::to_string(bits) + " bits" : std::to_string(bits / 8)));
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& x, const auto& y) { return x.offsets != y.offsets ? x.offsets < y.offsets : x.at < y.at; });
  std::uint64_t filled = 0;
  for (const auto& e : entries) {
    if (e.offsets[0] < filled) header.fail(e, "its data overlap those before");
    if (e.offsets[0] > filled) header.fail(e, "a hole of " + count(e.offsets[0] - filled) + " before its data");
    filled = e.offsets[1];
  }
  if (filled != data.size()) header.fail(8 + length + filled, count(data.size() - filled) + " after the last tensor");

  std::sort(entries.begin(), entries.end(), [](const auto& x, const auto& y) { return x.tensor.name < y.tensor.name; });
  safetensors result;
  result.metadata = std::move(header.metadata);
  result.tensors.reserve(entries.size());
  const auto name = std::make_shared<const std::string>(file);
  for (auto& e : entries) {
    e.tensor.shape.assign(e.shape.begin(), e.shape.end());
    e.tensor.bytes =
        data.subspan(static_cast<std::size_t>(e.offsets[0]), static_cast<std::size_t>(e.offsets[1] - e.offsets[0]));
    e.tensor.offset = 8 + length + e.offsets[0];
    e.tensor.file = name;
    result.tensors.push_back(std::move(e.tensor));
  }
  return result;
}

/// Maps and parses a file. @throws std::system_error, format_error.
inline safetensors read_safetensors(const std::filesystem::path& path) {
  mapped_file bytes(path);
  safetensors result = parse_safetensors(bytes.bytes(), path.string());
  result.files.push_back(std::move(bytes));
  return result;
}

namespace detail {

/// A JSON string; @throws std::invalid_argument if @p text is not UTF-8.
inline std::string json_string(const std::string& text, const char* function) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    invalid_argument_unless(false, function, "text", "\"%s\" is not UTF-8", text.c_str());
    throw;
  }
}

}  // namespace detail

/// Writes @p tensors, float32 before bfloat16 before float16 and then by name, as the format's own writer does; the
/// file appears whole or not at all.
/// @throws std::invalid_argument, before anything is written, if a name comes twice, is "__metadata__", or a text is
///         not UTF-8, a shape is not filled, or the header grows too long; std::system_error.
/// @note Besides the header, holds 64 KiB.
inline void write_safetensors(const std::filesystem::path& path, std::span<const tensor_source> tensors,
                              const std::map<std::string, std::string>& metadata = {}) {
  const char* function = "hone::io::write_safetensors";
  std::vector<const tensor_source*> order;
  for (const tensor_source& t : tensors) {
    detail::validate(t, function);
    order.push_back(&t);
  }
  const auto rank = [](const tensor_source* t) {
    return t->stored == format::float32 ? 0 : t->stored == format::bfloat16 ? 1 : 2;
  };
  std::sort(order.begin(), order.end(), [&](const tensor_source* x, const tensor_source* y) {
    return rank(x) != rank(y) ? rank(x) < rank(y) : x->name < y->name;
  });
  std::vector<std::string_view> names{"__metadata__"};
  for (const tensor_source* t : order) names.push_back(t->name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  invalid_argument_unless(twice == names.end(), function, "tensors", "the name \"%s\" is taken",
                          twice == names.end() ? "" : std::string(*twice).c_str());

  std::string header = "{";
  const auto begin = [&](const std::string& key) {
    if (header.size() > 1) header += ',';
    header += detail::json_string(key, function) + ":";
  };
  if (!metadata.empty()) {
    begin("__metadata__");
    char separator = '{';
    for (const auto& [key, text] : metadata) {
      header += separator + detail::json_string(key, function) + ":" + detail::json_string(text, function);
      separator = ',';
    }
    header += '}';
  }
  std::uint64_t offset = 0;
  for (const tensor_source* t : order) {
    begin(t->name);
    constexpr const char* types[] = {"F32", "BF16", "F16"};
    header += std::string("{\"dtype\":\"") + types[rank(t)] + "\",\"shape\":" + nlohmann::json(t->shape).dump() +
              ",\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(offset + t->bytes()) + "]}";
    offset += t->bytes();
  }
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  invalid_argument_unless(header.size() <= detail::safetensors_header_limit, function, "tensors",
                          "their header has %zu bytes", header.size());
  std::vector<std::byte> length;
  append_little_endian(length, std::uint64_t{header.size()});
  atomic_file file(path);
  file.write(length);
  file.write(header);
  for (const tensor_source* t : order) detail::write_elements(file, *t);
  file.commit();
}

}  // namespace HONE_NAMESPACE::io
