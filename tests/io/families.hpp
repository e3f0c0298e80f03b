// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// What Transformers makes of the models of golden/families, and what hone does.
#pragma once
#include "hone/io/checkpoint.hpp"
#include "hone/transformer/generate.hpp"
#include "io/support.hpp"

#include <nlohmann/json.hpp>

struct family {
  explicit family(const std::string& name) {
    static const auto all = nlohmann::json::parse(to_text(hone::io::read_file(golden_file("families/expected.json"))));
    const auto& own = all.at(name);
    prompt = own.at("prompt").get<std::vector<std::int32_t>>();
    greedy = own.at("greedy").get<std::vector<std::int32_t>>();
    logits = own.at("logits").get<std::vector<std::vector<double>>>();
  }

  /// The largest difference of the first @p positions' logits.
  [[nodiscard]] double error(const hone::io::checkpoint& m, std::size_t positions = 1000) const {
    const hone::transformer::decoder<float> model(m.config);
    const std::vector<hone::index_t> offsets = {0, static_cast<hone::index_t>(prompt.size())};
    hone::transformer::workspace<float> w(m.config, offsets[1]);
    model.forward(m.parameters, {prompt, offsets}, w);
    double largest = 0;
    for (std::size_t t = 0; t < (std::min)(positions, prompt.size()); ++t)
      for (std::size_t v = 0; v < logits[t].size(); ++v)
        largest = (std::max)(largest, std::abs(logits[t][v] - static_cast<double>(w.logits()(
                                                                  static_cast<hone::index_t>(t), static_cast<hone::index_t>(v)))));
    return largest;
  }
  [[nodiscard]] std::vector<std::int32_t> continuation(const hone::io::checkpoint& m) const {
    const hone::transformer::decoder<float> model(m.config);
    const hone::transformer::generator<float> generate(model, m.parameters);
    const std::vector<hone::index_t> offsets = {0, static_cast<hone::index_t>(prompt.size())};
    return generate({prompt, offsets}, {.max_tokens = static_cast<hone::index_t>(greedy.size())})[0].tokens;
  }

  std::vector<std::int32_t> prompt, greedy;
  std::vector<std::vector<double>> logits;
};
