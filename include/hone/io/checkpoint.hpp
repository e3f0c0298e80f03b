// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A model out of a file, whichever its format.
#pragma once
#include "hone/io/detail/config_names.hpp"
#include "hone/io/stored_tensor.hpp"
#include "hone/transformer/config.hpp"

#include <vector>

namespace HONE_NAMESPACE::io {

struct checkpoint {
  transformer::config config;
  std::vector<float> parameters;  ///< in the order of transformer::tensor_table(config)
  index_t nonfinite = 0;          ///< infinite or NaN parameters: they are kept, not hidden
};

namespace detail {

/// How many parameters the tensors of @p table have.
inline index_t parameters_of(const std::vector<transformer::tensor>& table) {
  return table.back().offset + table.back().size();
}

/// The shape that files give a tensor: norms and biases have one axis.
inline std::vector<index_t> stored_shape(const transformer::tensor& t) {
  const bool vector = t.kind == transformer::tensor_kind::norm || t.kind == transformer::tensor_kind::bias;
  return vector ? std::vector{t.cols} : std::vector{t.rows, t.cols};
}

/// @throws format_error that names @p t unless it has @p shape.
inline void check_shape(const stored_tensor& t, const std::vector<index_t>& shape) {
  const auto text = [](const std::vector<index_t>& sizes) {
    std::string list = "[";
    for (const index_t n : sizes) list += (list.size() > 1 ? ", " : "") + std::to_string(n);
    return list + "]";
  };
  if (t.shape != shape) fail(t, "has the shape " + text(t.shape) + ", must have " + text(shape));
}

/// A model's table, and where a file has each of its tensors.
struct matched_tensors {
  std::vector<transformer::tensor> table;
  std::vector<const stored_tensor*> sources;
};

/// As `gather_checkpoint`, which copies what this finds.
template <class Name, class PassedOver>
matched_tensors match_tensors(const transformer::config& c, std::span<const stored_tensor> tensors,
                              const std::string& file, Name&& name_of, PassedOver&& passed_over) {
  const auto fail_whole = [&](const std::string& reason) { throw format_error(file, {}, reason); };
  if (std::cmp_greater(c.n_layers, tensors.size()))
    fail_whole(std::to_string(c.n_layers) + " layers in " + std::to_string(tensors.size()) + " tensors");
  index_t sparse = 0;
  for (index_t layer = 0; layer < c.n_layers; ++layer) sparse += c.sparse(layer);
  if (sparse > 0 && std::cmp_greater(c.experts.count, tensors.size() / static_cast<std::size_t>(sparse)))
    fail_whole(std::to_string(c.experts.count) + " experts in each of " + std::to_string(sparse) + " layers, in " +
               std::to_string(tensors.size()) + " tensors");
  matched_tensors result;
  try {
    result.table = transformer::tensor_table(c);
  } catch (const std::invalid_argument& error) {
    fail_whole(config_reason(error, &config_name::own));
  }
  std::vector<bool> wanted(tensors.size());
  for (const transformer::tensor& t : result.table) {
    const std::string name = name_of(t);
    const stored_tensor* source = find_tensor(tensors, name);
    if (source == nullptr) fail_whole("there is no tensor \"" + name + "\"");
    check_shape(*source, stored_shape(t));
    wanted[static_cast<std::size_t>(source - tensors.data())] = true;
    result.sources.push_back(source);
  }
  for (std::size_t i = 0; i < tensors.size(); ++i)
    if (!wanted[i] && !passed_over(std::string_view(tensors[i].name))) fail(tensors[i], "the model has no such part");
  return result;
}

}  // namespace detail

/// The model of configuration @p c from the tensors of a file, sorted by name.
/// @param name_of what the file calls a tensor of the table: name_of(const transformer::tensor&) -> std::string.
/// @param passed_over whether a tensor that the model does not have may be there: passed_over(std::string_view) ->
///        bool.
/// @throws format_error, before memory is allocated for them, if @p c is no model, or a tensor is missing, has another
///         shape, or is more than the model has.
/// @note One pass over the bytes.
template <class Name, class PassedOver>
checkpoint gather_checkpoint(const transformer::config& c, std::span<const stored_tensor> tensors,
                             const std::string& file, Name&& name_of, PassedOver&& passed_over) {
  const auto [table, sources] =
      detail::match_tensors(c, tensors, file, std::forward<Name>(name_of), std::forward<PassedOver>(passed_over));
  checkpoint result{c, std::vector<float>(static_cast<std::size_t>(detail::parameters_of(table))), 0};
  for (std::size_t i = 0; i < table.size(); ++i)
    result.nonfinite += copy_elements(*sources[i], std::span(result.parameters)
                                                       .subspan(static_cast<std::size_t>(table[i].offset),
                                                                static_cast<std::size_t>(table[i].size())));
  return result;
}

}  // namespace HONE_NAMESPACE::io
