// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Where an adapter starts, from what the model does on the pairs to forget and to keep before anything is forgotten.
#pragma once
#include "hone/lora/corda.hpp"
#include "hone/lora/eva.hpp"
#include "hone/lora/lora_ga.hpp"
#include "hone/lora/pooling.hpp"
#include "hone/lora/rila.hpp"
#include "hone/lora/spectral.hpp"
#include "hone/lora/starts.hpp"
#include "hone/transformer/adapted.hpp"
#include "support/lessons.hpp"

namespace unlearn {

using namespace hone;

/// A matrix that grows by rows.
struct row_list {
  index_t columns = 0;
  std::vector<float> values;

  [[nodiscard]] index_t rows() const { return columns == 0 ? 0 : std::ssize(values) / columns; }
  [[nodiscard]] matrix_view<const float> view() const { return {values.data(), rows(), columns}; }
  /// @p count further rows, to be written.
  matrix_view<float> grow(index_t count, index_t width) {
    columns = width;
    const index_t before = rows();
    values.resize(values.size() + static_cast<std::size_t>(count * width));
    return {values.data() + before * width, count, width};
  }
};

/// What the matrices of the sites see and say on some lessons.
struct activations {
  std::vector<row_list> inputs;   ///< one a site: a row a token
  std::vector<row_list> outputs;  ///< one a site: a row a lesson, summed over its tokens
};

/// Of the first @p most lessons, as ReGLU's authors take 256; no lesson is padded.
inline activations observe(const transformer::decoder<float>& model, std::span<const float> parameters,
                           std::span<const lora::site> sites, const std::vector<lessons::lesson>& lessons,
                           std::size_t most = 256) {
  std::vector<std::ptrdiff_t> site_of(model.table().size(), -1);
  for (std::size_t t = 0; t < site_of.size(); ++t)
    for (std::size_t i = 0; i < sites.size(); ++i)
      if (sites[i].name == model.table()[t].name) site_of[t] = static_cast<std::ptrdiff_t>(i);
  activations seen{std::vector<row_list>(sites.size()), std::vector<row_list>(sites.size())};
  transformer::workspace<float> w(model.shape(), model.shape().max_seq);
  for (std::size_t k = 0; k < (std::min)(most, lessons.size()); ++k) {
    lessons::rows rows;
    rows.add(lessons[k]);
    model.forward(parameters, rows.batch(), w, [&](const transformer::tensor_id& id, const auto& x, const auto& y) {
      const std::ptrdiff_t i = site_of[static_cast<std::size_t>(model.tensor_index(id))];
      if (i < 0) return;
      const auto at = static_cast<std::size_t>(i);
      const auto to = seen.inputs[at].grow(x.rows(), x.cols());
      for (index_t t = 0; t < x.rows(); ++t) copy(x.row(t), to.row(t));
      lora::pool(y, rows.offsets, {}, lora::pooling::sum, seen.outputs[at].grow(1, y.cols()));
    });
  }
  return seen;
}

/// What an initialiser may look at.
struct start_material {
  const activations &forget, &retain;
  std::span<const float> gradient;  ///< of the likelihood of what is to be forgotten, in the model's layout
  std::uint64_t seed;
};

/// Starts the site's adapter and compensates its weight; returns the largest deviation of W + s B A from W.
using start_function = double (*)(const start_material&, std::size_t site_index, const matrix_view<float>& weight,
                                  index_t tensor_offset, lora::site& site, std::vector<float>& adapter);

template <class Method>
double start_from(const Method& method, const matrix_view<float>& weight, const lora::site& site,
                  std::vector<float>& adapter) {
  return lora::initialise(method, weight, site, adapter).deviation;
}

struct adapter_kind {
  const char* name;
  bool compensates;  ///< the base changes: saved as a plain adapter of twice the rank
  start_function start;
};

inline constexpr adapter_kind adapter_kinds[] = {
    {"none", false, nullptr},
    {"lora", false,
     [](const start_material& m, std::size_t i, const matrix_view<float>& w, index_t, lora::site& s,
        std::vector<float>& adapter) {
       return start_from(lora::standard{.random = {m.seed, static_cast<std::uint32_t>(100 + i)}}, w, s, adapter);
     }},
    {"rila", true,
     [](const start_material& m, std::size_t i, const matrix_view<float>& w, index_t, lora::site& s,
        std::vector<float>& adapter) {
       return lora::rila(m.forget.outputs[i].view(), m.retain.outputs[i].view(), w, s, adapter, {.basis_rank = 0})
           .start.deviation;
     }},
    {"pissa", true,
     [](const start_material&, std::size_t, const matrix_view<float>& w, index_t, lora::site& s,
        std::vector<float>& adapter) { return start_from(lora::pissa{}, w, s, adapter); }},
    {"olora", true,
     [](const start_material&, std::size_t, const matrix_view<float>& w, index_t, lora::site& s,
        std::vector<float>& adapter) { return start_from(lora::olora{}, w, s, adapter); }},
    {"corda", true,
     [](const start_material& m, std::size_t i, const matrix_view<float>& w, index_t, lora::site& s,
        std::vector<float>& adapter) {
       lora::corda_moment moment(s.inputs);
       moment.add(m.forget.inputs[i].view());
       return start_from(lora::corda{.moment = moment.mean()}, w, s, adapter);
     }},
    {"eva", false,
     [](const start_material& m, std::size_t i, const matrix_view<float>& w, index_t, lora::site& s,
        std::vector<float>& adapter) {
       lora::incremental_pca inputs(s.inputs, s.rank);
       inputs.add(m.forget.inputs[i].view());
       return start_from(lora::eva{inputs}, w, s, adapter);
     }},
    {"milora", true,
     [](const start_material&, std::size_t, const matrix_view<float>& w, index_t, lora::site& s,
        std::vector<float>& adapter) { return start_from(lora::milora{}, w, s, adapter); }},
    {"lora_ga", true,
     [](const start_material& m, std::size_t, const matrix_view<float>& w, index_t offset, lora::site& s,
        std::vector<float>& adapter) {
       const matrix_view<const float> g(m.gradient.data() + offset, s.outputs, s.inputs);
       return start_from(lora::lora_ga{.gradient = linalg::copy_of(g)}, w, s, adapter);
     }},
};

/// The directions of each site in which what is kept has most of its energy, for the orthogonal loss.
inline std::vector<linalg::matrix> retain_bases(const activations& forget, const activations& retain,
                                                std::span<const lora::site> sites, index_t directions) {
  std::vector<linalg::matrix> bases;
  for (std::size_t i = 0; i < sites.size(); ++i) {
    // As many as ReGLU's authors take of thousands of outputs; here at most a fourth of them.
    const index_t most = (std::min)(directions, (std::max)(index_t{1}, sites[i].outputs / 4));
    bases.push_back(
        lora::find_rila_subspace(forget.outputs[i].view(), retain.outputs[i].view(), index_t{1}, {.basis_rank = most})
            .basis);
  }
  return bases;
}

}  // namespace unlearn
