// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A router from states that an engine wrote, and labels in JSON lines.
#pragma once
#include <filesystem>
#include <set>

#include "hone/io/identify_model.hpp"
#include "hone/io/mapped_model.hpp"
#include "hone/io/model.hpp"
#include "hone/io/pooled_states.hpp"
#include "hone/io/routing_labels.hpp"
#include "hone/io/vllm_states.hpp"
#include "route/router.hpp"

namespace route {

/// States of prompts in the order of their labels, in a mapped file or pooled here, and where they came from.
struct stored_states {
  std::optional<io::pooled_states> mapped = {};
  std::vector<float> pooled = {};  ///< prompts x layers x width, of dumps
  index_t layers = 0, width = 0;
  std::vector<std::size_t> rows = {};  ///< of each label that has states, in the file's order
  routing::last_state last = routing::last_state::after_norm;
  routing::token_pooling tokens = routing::token_pooling::mean;
  std::size_t unlabelled = 0;  ///< rows that no label names

  /// f(routing::states_view<const T>)
  template <class F>
  decltype(auto) with(F&& f) const {
    if (mapped) return mapped->with(f);
    return f(routing::states_view<const float>(pooled.data(), std::ssize(pooled) / (layers * width), layers, width));
  }
};

/// Refuses a choice of layers that the states, or the model that they are of, do not have.
inline void require_layers(const settings& s, const std::string& name, index_t layers,
                           const std::optional<io::model_identity>& model, index_t width) {
  const index_t most = model ? model->config.n_layers : 1000000;
  for (std::size_t i = 0; i < s.state_of.size(); ++i)
    program::require(s.state_of[i] >= 0 && s.state_of[i] <= most && (i == 0 || s.state_of[i] > s.state_of[i - 1]),
                     "--layers: must ascend from 0 to %td, one is %d", most, s.state_of[i]);
  const index_t expected = s.state_of.empty() ? (model ? most + 1 : layers) : std::ssize(s.state_of);
  if (layers != expected)
    throw io::format_error(
        name, {},
        program::text("has %td layers, %s", layers,
                      s.state_of.empty() ? program::text("the model %td states (--layers names those "
                                                         "of a part)",
                                                         expected)
                                               .c_str()
                                         : program::text("--layers names %td", expected).c_str()));
  if (model && width != model->config.d_model)
    throw io::format_error(name, {}, program::text("is of width %td, the model of %td", width, model->config.d_model));
}

/// The row of each label, by id or, of states without ids, by line.
inline void match_rows(stored_states& states, const std::vector<std::string>& ids, index_t samples,
                       const std::vector<io::routing_label>& labels, const settings& s) {
  if (ids.empty()) {
    if (samples != std::ssize(labels))
      throw io::format_error(
          s.states, {},
          program::text("has %td rows and no ids, %s has %zu lines", samples, s.labels.c_str(), labels.size()));
    states.rows.resize(labels.size());
    std::iota(states.rows.begin(), states.rows.end(), std::size_t{0});
    return;
  }
  std::map<std::string, std::size_t> row_of;
  for (std::size_t i = 0; i < ids.size(); ++i) row_of.emplace(ids[i], i);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto found = row_of.find(labels[i].id);
    if (found == row_of.end())
      throw io::format_error(s.labels, {},
                             "label " + std::to_string(i + 1) + " is of the id \"" + io::short_text(labels[i].id) +
                                 "\", of which " + s.states + " has no states");
    states.rows.push_back(found->second);
  }
  states.unlabelled = ids.size() - labels.size();
}

/// The model's own final norm, for dumps that end before it; of a folder nothing else is read.
inline std::vector<float> final_norm_of(const std::string& path) {
  constexpr transformer::tensor_id norm{transformer::role::final_norm};
  std::vector<float> result;
  if (std::filesystem::is_directory(path)) {
    const io::mapped_model model = io::map_model(path);
    model(norm).visit([&](const auto& m) {
      for (index_t i = 0; i < m.rows() * m.cols(); ++i)
        result.push_back(static_cast<float>(hone::to_accumulator(m(i / m.cols(), i % m.cols()))));
    });
    return result;
  }
  const io::checkpoint model = program::read_finite_model(path);
  for (const transformer::tensor& t : transformer::tensor_table(model.config))
    if (t.id == norm)
      result.assign(model.parameters.begin() + t.offset, model.parameters.begin() + t.offset + t.size());
  return result;
}

/// Every file of a folder that vLLM filled, pooled over its tokens: the id is the name without its ending.
inline stored_states pool_dumps(const settings& s, const std::optional<io::model_identity>& model,
                                const std::vector<io::routing_label>& labels) {
  std::set<std::string> wanted;
  for (const io::routing_label& l : labels) wanted.insert(l.id);
  std::vector<std::filesystem::path> files;
  std::size_t others = 0;
  for (const auto& entry : std::filesystem::directory_iterator(s.states)) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".safetensors" || name.starts_with('.')) continue;
    if (wanted.contains(entry.path().stem().string()))
      files.push_back(entry.path());
    else
      ++others;
  }
  std::sort(files.begin(), files.end());
  if (files.empty())
    throw io::format_error(s.states, {}, "no file ending in .safetensors in it is named as a label of " + s.labels);
  stored_states result{.last = s.convention.value_or(routing::last_state::before_norm), .tokens = s.pooled_tokens()};
  std::vector<float> norm;
  if (result.last == routing::last_state::after_norm && model) norm = final_norm_of(s.model);
  program::progress bar("states", std::ssize(files));
  std::vector<std::string> ids;
  for (const auto& file : files) {
    if (program::interrupted()) return result;
    const io::state_dump dump = io::read_state_dump(file);
    require_layers(s, dump.name, dump.layers, model, dump.width);
    if (result.layers == 0) {
      result.layers = dump.layers, result.width = dump.width;
      std::fprintf(stderr, "%zu prompts of %td layers of %td, %.0f MB of memory\n", files.size(), dump.layers,
                   dump.width,
                   static_cast<double>(files.size()) * static_cast<double>(dump.layers * dump.width) * 4e-6);
      result.pooled.reserve(files.size() * static_cast<std::size_t>(dump.layers * dump.width));
    }
    if (dump.layers != result.layers || dump.width != result.width)
      throw io::format_error(dump.name, {},
                             program::text("is %td layers of %td, the files before are %td of %td", dump.layers,
                                           dump.width, result.layers, result.width));
    io::wanted_states want{.states = static_cast<std::int32_t>(model                ? model->config.n_layers + 1
                                                               : s.state_of.empty() ? dump.layers
                                                                                    : s.state_of.back() + 1),
                           .of = s.state_of,
                           .last = result.last};
    if (!norm.empty()) want.norm = io::final_norm{norm, model->config.norm_eps};
    const std::size_t at = result.pooled.size();
    result.pooled.resize(at + static_cast<std::size_t>(dump.layers * dump.width));
    if (io::pool_states(dump, want, result.tokens,
                        hone::matrix_view<float>(result.pooled.data() + at, dump.layers, dump.width)) > 0)
      throw io::format_error(dump.name, {}, "a state is not finite");
    ids.push_back(file.stem().string());
    bar.step(std::ssize(ids), file.filename().string());
  }
  match_rows(result, ids, std::ssize(files), labels, s);
  result.unlabelled = others;
  return result;
}

/// The states of one file, which stay where it is mapped.
inline stored_states map_states(const settings& s, const std::optional<io::model_identity>& model,
                                const std::vector<io::routing_label>& labels) {
  stored_states result;
  io::pooled_states file = io::read_pooled_states(s.states);
  require_layers(s, file.name, file.layers, model, file.width);
  program::require(file.last || s.convention,
                   "%s: does not say whether its last state is before the final norm or "
                   "after it: --convention does",
                   s.states.c_str());
  result.last = s.convention.value_or(file.last.value_or(result.last));
  program::require(!file.last || *file.last == result.last,
                   "%s: its last state is of the other convention, and what is pooled cannot be converted",
                   s.states.c_str());
  program::require(file.tokens || s.tokens, "%s: does not say which tokens its states are pooled over: --tokens does",
                   s.states.c_str());
  result.tokens = s.tokens.value_or(file.tokens.value_or(result.tokens));
  program::require(!file.tokens || *file.tokens == result.tokens, "%s: its tokens are pooled the other way",
                   s.states.c_str());
  result.layers = file.layers, result.width = file.width;
  match_rows(result, file.ids, file.samples, labels, s);
  file.with([&](const auto& states) {
    for (const std::size_t row : result.rows)
      for (index_t layer = 0; layer < states.layers(); ++layer)
        if (hone::count_nonfinite(states.sample(static_cast<index_t>(row)).row(layer)) > 0)
          throw io::format_error(s.states, {}, program::text("row %zu: state %td is not finite", row, layer));
  });
  result.mapped = std::move(file);
  return result;
}

/// The row of the states that --layer means, a state of the model; the middle one unless it is told.
inline index_t row_of_layer(const settings& s, const stored_states& states) {
  if (!s.layer) return states.layers / 2;
  if (s.state_of.empty()) {
    program::require(*s.layer < states.layers, "--layer %td: the states are 0 to %td", *s.layer, states.layers - 1);
    return *s.layer;
  }
  const auto found = std::find(s.state_of.begin(), s.state_of.end(), static_cast<std::int32_t>(*s.layer));
  program::require(found != s.state_of.end(), "--layer %td: is none of --layers", *s.layer);
  return found - s.state_of.begin();
}

inline stored_states read_states(const settings& s, const std::optional<io::model_identity>& model,
                                 const std::vector<io::routing_label>& labels) {
  return std::filesystem::is_directory(s.states) ? pool_dumps(s, model, labels) : map_states(s, model, labels);
}

}  // namespace route
