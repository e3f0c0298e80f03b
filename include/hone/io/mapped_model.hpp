// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A model that stays in its file: a source of parameters (transformer/source.hpp) in the file's own type, for a frozen
/// base under an adapter, or for a generator. Pages that nothing reads are never loaded, and several processes share
/// them.
#pragma once
#include "hone/io/gguf_model.hpp"
#include "hone/io/hugging_face.hpp"
#include "hone/transformer/source.hpp"

namespace HONE_NAMESPACE::io {

/// The tensors of a file as a source: a view each, over the mapping, which lives as long as this. Moved, it shows the
/// same memory.
class mapped_model {
 public:
  /// @param name_of, passed_over as `gather_checkpoint`. @param files that the bytes of the tensors lie in.
  /// @throws format_error as `gather_checkpoint`, and naming the tensor if its type is not float32, float64, float16 or
  ///         bfloat16.
  /// @note Copies a tensor that lies where its type is not aligned; reads no other.
  template <class Name, class PassedOver>
  mapped_model(const transformer::config& c, std::span<const stored_tensor> tensors, std::vector<mapped_file> files,
               const std::string& file, Name&& name_of, PassedOver&& passed_over)
      : mapped_model(c, detail::match_tensors(c, tensors, file, name_of, passed_over), std::move(files)) {}

  [[nodiscard]] const transformer::config& shape() const { return shape_; }
  /// @pre the model has the tensor.
  [[nodiscard]] transformer::stored_matrix operator()(const transformer::tensor_id& id) const {
    return matrices_[static_cast<std::size_t>(layout_.index(id))];
  }

 private:
  mapped_model(const transformer::config& c, const detail::matched_tensors& found, std::vector<mapped_file> files)
      : shape_(c), layout_(c), files_(std::move(files)) {
    for (std::size_t i = 0; i < found.table.size(); ++i) matrices_.push_back(view(*found.sources[i], found.table[i]));
  }
  template <class S>
  transformer::stored_matrix as(const stored_tensor& from, const transformer::tensor& t) {
    static_assert(std::endian::native == std::endian::little, "files are little-endian");
    const std::byte* data = from.bytes.data();
    if (reinterpret_cast<std::uintptr_t>(data) % alignof(S) != 0)
      data = copies_.emplace_back(from.bytes.begin(), from.bytes.end()).data();
    return matrix_view<const S>(reinterpret_cast<const S*>(data), t.rows, t.cols);
  }
  transformer::stored_matrix view(const stored_tensor& from, const transformer::tensor& t) {
    switch (from.type->kind) {
      case element_kind::float32: return as<float>(from, t);
      case element_kind::float16: return as<float16>(from, t);
      case element_kind::bfloat16: return as<bfloat16>(from, t);
      case element_kind::float64: return as<double>(from, t);
      default: break;
    }
    detail::fail(from, std::string("is of type ") + from.type->name +
                           ", which cannot be used where it lies; reading the model converts it");
  }

  transformer::config shape_;
  transformer::parameter_layout layout_;
  std::vector<mapped_file> files_;
  std::vector<std::vector<std::byte>> copies_;
  std::vector<transformer::stored_matrix> matrices_;  ///< in the order of the table
};

/// Maps a Hugging Face folder or a GGUF file.
/// @throws std::system_error; format_error as their readers and `mapped_model`.
inline mapped_model map_model(const std::filesystem::path& path) {
  const std::string name = path.string();
  if (std::filesystem::is_directory(path)) {
    const transformer::config c = detail::hugging_face_config(path);
    safetensors file = read_safetensors_folder(path);
    return {c, file.tensors, std::move(file.files), name, hugging_face_tensor(c), detail::hugging_face_extra(c)};
  }
  gguf file = read_gguf(path);
  const transformer::config c = detail::gguf_config(file, name);
  const std::vector<stored_tensor> tensors = detail::gguf_parts(c, file.tensors, name);
  return {c, tensors, std::move(file.files), name, gguf_tensor, detail::gguf_extra};
}

}  // namespace HONE_NAMESPACE::io
