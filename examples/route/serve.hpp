// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Decides prompts while a model reads them, as an engine would: its states go to a sink as they appear.
#pragma once
#include <iostream>

#include "hone/io/identify_model.hpp"
#include "hone/io/router.hpp"
#include "hone/transformer/generate.hpp"
#include "hone/transformer/taps.hpp"
#include "route/settings.hpp"

namespace route {

/// A router beside its model, with the memory that both need.
class gate {
 public:
  gate(const io::stored_router& router, double call_rate, const transformer::decoder<float>& model,
       const std::vector<float>& parameters)
      : shape_(model.shape()), sums_(router.layers.size()), sink_(router.fold(call_rate), sums_.data()),
        generate_(model, parameters), logits_(static_cast<std::size_t>(shape_.vocab)) {}

  /// Reads a prompt. What it comes to is in `sink()`; of no tokens, and of more than the model takes, it is a fault.
  void read(std::span<const std::int32_t> prompt) {
    sink_.reset();
    if (prompt.empty() || std::ssize(prompt) > shape_.max_seq) return;
    transformer::kv_cache<float> cache(shape_, std::ssize(prompt));
    generate_.feed(prompt, cache, {logits_.data(), 1, shape_.vocab}, transformer::state_tap(shape_, sink_));
  }
  [[nodiscard]] const routing::state_sink& sink() const { return sink_; }

 private:
  transformer::config shape_;
  std::vector<routing::layer_sum> sums_;
  routing::state_sink sink_;
  transformer::generator<float> generate_;
  std::vector<float> logits_;
};

/// The threshold's own call rate, the highest up to @p call_rate. @throws std::runtime_error if there is none.
inline double call_rate_of(const io::stored_router& router, double call_rate) {
  program::require(router.thresholds[0].call_rate <= call_rate,
                   "--call-rate %g: the router's thresholds begin at a call rate of %g", call_rate,
                   router.thresholds[0].call_rate);
  double rate = 0;
  for (const io::router_threshold& t : router.thresholds)
    if (t.call_rate <= call_rate) rate = t.call_rate;
  return rate;
}

/// What a sink has to say, as a line of JSON.
inline nlohmann::json to_json(const routing::state_sink& sink) {
  const bool small = sink.decide() == routing::decision::small_model;
  nlohmann::json result = {{"decision", small ? "small" : "large"}, {"tokens", sink.tokens()}};
  if (const routing::fault why = sink.why(); why != routing::fault::none) {
    result["reason"] = routing::text_of(why);
    return result;
  }
  result["probability"] = sink.probability();
  for (std::int32_t layer = 0; layer < sink.router().layers; ++layer)
    result["contributions"].push_back(sink.contribution(layer));
  return result;
}

/// f(line) of each line of standard input, until it ends or Ctrl-C.
template <class F>
void for_each_line(F&& f) {
  for (std::string line; !program::interrupted() && std::getline(std::cin, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    f(line);
    std::fflush(stdout);
  }
}

/// A decision for each line, as a line of JSON.
inline int serve(const settings& s) {
  const io::stored_router router = io::read_router(s.router);
  io::require_model(router, s.router, io::identify_model(s.model),
                    s.accept_copy ? io::copies::accepted : io::copies::refused);
  program::require(!router.chat_template || s.form != "{}",
                   "%s: was trained on prompts in a chat template: --form says it, with {} for the line",
                   s.router.c_str());
  const double rate = call_rate_of(router, s.call_rate);
  const io::checkpoint model = program::read_finite_model(s.model);
  const io::tokenizer tokenizer = program::read_tokenizer(s.model, s.tokenizer, model.config.vocab);
  const transformer::decoder<float> decoder(model.config);
  gate at(router, s.call_rate, decoder, model.parameters);
  std::fprintf(stderr, "the large model is called below p = %.4f, for %g of the prompts that this was chosen on\n",
               at.sink().router().threshold, rate);
  // A line's own text makes no special token, whatever it says.
  const std::size_t at_line = s.form.find("{}");
  const std::string before = s.form.substr(0, at_line), after = s.form.substr(at_line + 2);
  for_each_line([&](const std::string& line) {
    std::vector<io::token_id> ids = tokenizer.encode(before, {.add_special = true, .parse_special = true});
    for (const auto& [text, special] : {std::pair(line, false), std::pair(after, true)}) {
      const auto more = tokenizer.encode(text, {.add_special = false, .parse_special = special});
      ids.insert(ids.end(), more.begin(), more.end());
    }
    at.read(ids);
    nlohmann::json said = to_json(at.sink());
    if (std::ssize(ids) > model.config.max_seq)
      said["reason"] = program::text("%zu tokens, the model takes %td", ids.size(), model.config.max_seq);
    std::printf("%s\n", said.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  });
  return program::interrupted() ? 130 : 0;
}

}  // namespace route
