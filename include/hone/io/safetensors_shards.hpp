// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Models in several safetensors files, and the index that says which tensor is where:
///   {"metadata": {"total_size": BYTES}, "weight_map": {NAME: FILE, …}}   [Hugging Face, model.safetensors.index.json]
#pragma once
#include "hone/io/safetensors.hpp"

#include <cmath>
#include <optional>

namespace HONE_NAMESPACE::io {

struct safetensors_index {
  struct place {
    std::string tensor;
    std::string file;  ///< relative to the index, inside its folder
    std::uint64_t at;  ///< of the tensor's name in the index
  };
  std::vector<place> places;                ///< sorted by tensor
  std::optional<std::uint64_t> total_size;  ///< bytes of all tensors
  std::uint64_t total_size_at = 0;
};

namespace detail {

/// Whether @p name leads to a file below the folder it is read in, on every system.
inline bool stays_inside(std::string_view name) {
  if (name.empty() || name.front() == '/') return false;
  for (const char c : name)
    if (c == '\\' || c == ':' || static_cast<unsigned char>(c) < 0x20) return false;
  while (!name.empty()) {
    const std::size_t slash = name.find('/');
    const std::string_view part = name.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == name.size() - 1) return false;
    name.remove_prefix(slash == std::string_view::npos ? name.size() : slash + 1);
  }
  return true;
}

}  // namespace detail

/// Parses an index; @p file is what errors call it. Fields other than those above are passed over.
/// @throws format_error with the byte, if the text is not an object with a weight_map of texts, a key comes twice, a
///         file's name is absolute or leads out of the folder, or total_size is not a whole number.
/// @note Memory is bounded by the text.
inline safetensors_index parse_safetensors_index(std::string_view text, const std::string& file) {
  using kind = json_event::kind;
  const auto fail = [&](std::uint64_t at, const std::string& reason) {
    throw format_error(file, {position::unit::byte, at}, reason);
  };
  safetensors_index index;
  std::string outer, inner;
  std::uint64_t inner_at = 0;
  bool mapped = false;
  parse_json_events(text, file, [&](const json_event& e) {
    if (e.depth == 0) {
      if (e.is != kind::begin_object && e.is != kind::end_object) fail(e.at, "the index is not a JSON object");
    } else if (e.depth == 1) {
      if (e.is == kind::key) {
        outer = std::move(*e.text);
        mapped = mapped || outer == "weight_map";
      } else if (outer == "weight_map" && e.is != kind::begin_object && e.is != kind::end_object) {
        fail(e.at, "\"weight_map\" is not an object");
      }
    } else if (e.depth == 2 && e.is == kind::key) {
      inner = std::move(*e.text);
      inner_at = e.at;
    } else if (outer == "weight_map") {
      if (e.is != kind::string) fail(e.at, "\"weight_map\": the file of \"" + inner + "\" is not a string");
      if (!detail::stays_inside(*e.text))
        fail(e.at, "\"weight_map\": \"" + *e.text + "\" is not a file inside the folder");
      index.places.push_back({std::move(inner), std::move(*e.text), inner_at});
    } else if (outer == "metadata" && e.depth == 2 && inner == "total_size") {
      constexpr double most = 9007199254740992;  // some writers put down a double
      if (e.is != kind::whole && !(e.is == kind::real && e.real >= 0 && e.real <= most && std::floor(e.real) == e.real))
        fail(e.at, "\"total_size\" is not a whole number");
      index.total_size = e.is == kind::whole ? e.whole : static_cast<std::uint64_t>(e.real);
      index.total_size_at = e.at;
    }
  });
  if (!mapped) throw format_error(file, {}, "the index has no \"weight_map\"");
  std::sort(index.places.begin(), index.places.end(), [](const auto& x, const auto& y) { return x.tensor < y.tensor; });
  return index;
}

/// Reads the files of an index as one. Links are followed: caches of models consist of them.
/// @throws std::system_error if the index cannot be read; format_error, of the index, if a file is not there, a tensor
///         is not in the file where it should be or in one where it should not, or total_size is not the sum; and of
///         every file that is not sound itself.
inline safetensors read_safetensors_index(const std::filesystem::path& path) {
  constexpr std::uint64_t most = std::uint64_t{1} << 27;
  const std::vector<std::byte> bytes = read_file(path, most);
  const std::string file = path.string();
  const safetensors_index index = parse_safetensors_index(text_of(bytes), file);
  const auto fail = [&](std::uint64_t at, const std::string& reason) {
    throw format_error(file, {position::unit::byte, at}, reason);
  };
  std::map<std::string, std::uint64_t> shards;  // with where they are first asked for
  for (const auto& place : index.places) shards.emplace(place.file, place.at);
  safetensors result;
  std::uint64_t total = 0;
  for (const auto& [name, at] : shards) {
    const std::filesystem::path shard_path = path.parent_path() / name;
    std::error_code error;
    if (!std::filesystem::is_regular_file(shard_path, error)) fail(at, "there is no file \"" + name + "\"");
    safetensors shard = read_safetensors(shard_path);
    for (stored_tensor& t : shard.tensors) {
      const auto place = std::lower_bound(index.places.begin(), index.places.end(), t.name,
                                          [](const auto& x, const std::string& y) { return x.tensor < y; });
      if (place == index.places.end() || place->tensor != t.name)
        fail(at, "\"" + name + "\" has a tensor \"" + t.name + "\", which \"weight_map\" does not list");
      if (place->file != name)
        fail(place->at, "tensor \"" + t.name + "\" is in \"" + name + "\", not in \"" + place->file + "\"");
      total += t.bytes.size();
      result.tensors.push_back(std::move(t));
    }
    if (result.files.empty()) result.metadata = std::move(shard.metadata);
    result.files.push_back(std::move(shard.files.front()));
  }
  std::sort(result.tensors.begin(), result.tensors.end(), [](const auto& x, const auto& y) { return x.name < y.name; });
  for (std::size_t i = 0; i < index.places.size(); ++i) {
    const auto& place = index.places[i];
    if (i == result.tensors.size() || result.tensors[i].name != place.tensor)
      fail(place.at, "tensor \"" + place.tensor + "\" is not in \"" + place.file + "\"");
  }
  if (index.total_size && *index.total_size != total)
    fail(index.total_size_at, "\"total_size\" is " + std::to_string(*index.total_size) + ", the tensors have " +
                                  std::to_string(total) + " bytes");
  return result;
}

inline constexpr const char* safetensors_name = "model.safetensors";
inline constexpr const char* safetensors_index_name = "model.safetensors.index.json";

/// Reads the weights of a Hugging Face folder: model.safetensors where it is there, else model.safetensors.index.json.
/// @throws as `read_safetensors`, `read_safetensors_index`.
inline safetensors read_safetensors_folder(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (std::filesystem::exists(folder / safetensors_index_name, ignored) &&
      !std::filesystem::exists(folder / safetensors_name, ignored))
    return read_safetensors_index(folder / safetensors_index_name);
  return read_safetensors(folder / safetensors_name);
}

/// Writes @p tensors to the existing @p folder: to model.safetensors if they have at most @p most bytes, else to
/// model-00001-of-0000N.safetensors and so on, each filled in the order given up to @p most, and last the index.
/// @throws std::invalid_argument as `write_safetensors`; std::system_error, also if there is a model.safetensors, which
///         readers would take, and more than one file to write.
inline void write_safetensors_folder(const std::filesystem::path& folder, std::span<const tensor_source> tensors,
                                     const std::map<std::string, std::string>& metadata = {},
                                     std::uint64_t most = 5'000'000'000) {
  std::vector<std::size_t> ends;
  std::uint64_t filled = 0, total = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    if (filled > 0 && filled + tensors[i].bytes() > most) {
      ends.push_back(i);
      filled = 0;
    }
    filled += tensors[i].bytes();
    total += tensors[i].bytes();
  }
  ends.push_back(tensors.size());
  if (ends.size() == 1) return write_safetensors(folder / safetensors_name, tensors, metadata);
  if (std::filesystem::exists(folder / safetensors_name))
    throw std::system_error(std::make_error_code(std::errc::file_exists), (folder / safetensors_name).string());
  invalid_argument_unless(ends.size() < 100000, "hone::io::write_safetensors_folder", "most",
                          "%zu files, at most 99999 can be named", ends.size());
  nlohmann::json map = nlohmann::json::object();
  std::size_t begin = 0;
  for (std::size_t k = 0; k < ends.size(); begin = ends[k], ++k) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", k + 1, ends.size());
    const auto shard = tensors.subspan(begin, ends[k] - begin);
    for (const tensor_source& t : shard)
      invalid_argument_unless(map.emplace(t.name, name).second, "hone::io::write_safetensors_folder", "tensors",
                              "the name \"%.80s\" is taken", t.name.c_str());
    write_safetensors(folder / name, shard, metadata);
  }
  atomic_file file(folder / safetensors_index_name);
  file.write(nlohmann::json{{"metadata", {{"total_size", total}}}, {"weight_map", map}}.dump(2) + "\n");
  file.commit();
}

}  // namespace HONE_NAMESPACE::io
