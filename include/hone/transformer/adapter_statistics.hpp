// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What the initialisers of adapters (lora/rila.hpp, eva.hpp, corda.hpp) read of a model: what the matrices of its
/// sites see and say on some sequences, before anything is trained.
#pragma once
#include "hone/lora/pooling.hpp"
#include "hone/transformer/adapted.hpp"

namespace HONE_NAMESPACE::transformer {

/// A matrix that grows by rows.
template <class T>
struct row_list {
  index_t columns = 0;
  std::vector<T> values;

  [[nodiscard]] index_t rows() const { return columns == 0 ? 0 : static_cast<index_t>(values.size()) / columns; }
  [[nodiscard]] matrix_view<const T> view() const { return {values.data(), rows(), columns}; }
  /// @p count further rows of @p width elements, to be written; the views before are gone.
  /// @throws std::invalid_argument if the rows before have another width.
  matrix_view<T> grow(index_t count, index_t width) {
    invalid_argument_unless(columns == 0 || columns == width, "hone::transformer::row_list::grow", "width",
                            "is %td, the rows before have %td", width, columns);
    columns = width;
    const index_t before = rows();
    values.resize(values.size() + static_cast<std::size_t>(count * width));
    return {values.data() + before * width, count, width};
  }
  /// The last row. @pre there is one.
  matrix_view<T> last() { return {values.data() + (rows() - 1) * columns, 1, columns}; }
};

template <class T>
struct adapter_statistics {
  std::vector<row_list<T>> inputs;   ///< one a site: a row a token, of an expert a row a token that it had
  std::vector<row_list<T>> outputs;  ///< one a site: a row a sequence, summed over its tokens (`lora::pooling::sum`)
};

/// Of the sequences of @p b, one at a time: none is padded.
/// @param sites named and sized as in model.table().
/// @param most sequences that are read; the authors of ReGLU take 256.
/// @throws std::invalid_argument as `decoder::forward`, or if a site is no matrix of the model, or of another size.
/// @note One forward pass; holds the inputs and pooled outputs of every site. Single-threaded.
template <class T>
adapter_statistics<T> observe_sites(const decoder<T>& model, std::span<const std::type_identity_t<T>> parameters,
                                    std::span<const lora::site> sites, const batch& b, index_t most = 256) {
  std::vector<index_t> site_of(model.table().size(), -1);
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const index_t t = detail::tensor_of_site(model.layout(), sites[i], "hone::transformer::observe_sites");
    site_of[static_cast<std::size_t>(t)] = static_cast<index_t>(i);
  }
  adapter_statistics<T> seen{std::vector<row_list<T>>(sites.size()), std::vector<row_list<T>>(sites.size())};
  index_t longest = 1;
  for (index_t s = 0; s < b.sequences(); ++s) longest = (max)(longest, b.end(s) - b.begin(s));
  workspace<T> w(model.shape(), longest);
  for (index_t s = 0; s < (min)(most, b.sequences()); ++s) {
    const index_t offsets[] = {0, b.end(s) - b.begin(s)};
    const batch own{b.tokens.subspan(static_cast<std::size_t>(b.begin(s)), static_cast<std::size_t>(offsets[1])),
                    offsets, rows_of(b.capacities, s, 1)};
    // An expert may get no token: its sum is zero then.
    for (std::size_t i = 0; i < sites.size(); ++i) {
      seen.inputs[i].grow(0, sites[i].inputs);
      seen.outputs[i].grow(1, sites[i].outputs);
    }
    model.forward(parameters, own, w, [&](const tensor_id& id, const auto& x, const auto& y) {
      const index_t i = site_of[static_cast<std::size_t>(model.tensor_index(id))];
      if (i < 0) return;
      const auto at = static_cast<std::size_t>(i);
      const auto to = seen.inputs[at].grow(x.rows(), x.cols());
      for (index_t t = 0; t < x.rows(); ++t) copy(x.row(t), to.row(t));
      const index_t all[] = {0, y.rows()};
      lora::pool(y, all, {}, lora::pooling::sum, seen.outputs[at].last());
    });
  }
  return seen;
}

}  // namespace HONE_NAMESPACE::transformer
