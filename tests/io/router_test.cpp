// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/router.hpp"

#include "io/support.hpp"

using namespace hone;
using namespace hone::io;

namespace {

stored_router sample() {
  return {.model = std::string(64, 'a'),
          .states = 4,
          .layers = {0, 2, 3},
          .last = routing::last_state::before_norm,
          .tokens = routing::token_pooling::last,
          .chat_template = true,
          .v = {0.5f, -1, 2, 0.25f, 3, 1e-30f},
          .bias = -0.1,
          .slope = 1.25,
          .intercept = 1.0 / 3,
          .thresholds = {{0.1, 0.25}, {0.5, 0.5}, {0.9, 0.5}},
          .training_data = "chain, countdown \xc3\xa9"};
}

/// The router's metadata, and v, as a file.
std::string refusal(std::map<std::string, std::string> metadata, std::vector<tensor_source> tensors) {
  const scratch_folder folder;
  const auto path = folder.path / "r.safetensors";
  write_safetensors(path, tensors, metadata);
  const auto error = format_error_of([&] { read_router(path); });
  REQUIRE(error);
  CHECK(error->file() == path.string());
  CHECK(std::string(error->what()).find('\n') == std::string::npos);
  return error->reason();
}

nlohmann::json fields_of(const stored_router& r) {
  const scratch_folder folder;
  write_router(folder.path / "r", r);
  return nlohmann::json::parse(read_safetensors(folder.path / "r").metadata.at("router"));
}

std::string refusal_of_fields(const nlohmann::json& fields) {
  const stored_router r = sample();
  return refusal({{"format", "hone router 1"}, {"router", fields.dump()}}, {{"v", {3, 2}, r.v}});
}

}  // namespace

TEST_CASE("a router is read as it was written") {
  const scratch_folder folder;
  const stored_router r = sample();
  write_router(folder.path / "r.safetensors", r);
  CHECK(folder.entries() == 1);
  const stored_router again = read_router(folder.path / "r.safetensors");
  CHECK(again.model == r.model);
  CHECK(again.states == r.states);
  CHECK(again.layers == r.layers);
  CHECK(again.last == r.last);
  CHECK(again.tokens == r.tokens);
  CHECK(again.chat_template == r.chat_template);
  CHECK(again.v == r.v);
  CHECK(again.bias == r.bias);
  CHECK(again.slope == r.slope);
  CHECK(again.intercept == r.intercept);
  REQUIRE(again.thresholds.size() == 3);
  CHECK(again.thresholds[1].call_rate == 0.5);
  CHECK(again.thresholds[1].value == 0.5);
  CHECK(again.training_data == r.training_data);
}

TEST_CASE("a router is folded at the threshold of a call rate") {
  const stored_router r = sample();
  const routing::folded_router f = r.fold(0.4);
  CHECK(f.threshold == 0.25);
  CHECK(r.fold(0).threshold == 0.25);
  CHECK(r.fold(0.5).threshold == 0.5);
  CHECK(r.fold(1).threshold == 0.5);
  CHECK((f.layers == 3 && f.width == 2 && f.states == 4 && f.v == r.v.data() && f.state_of == r.layers.data()));
  CHECK((f.last == r.last && f.tokens == r.tokens && f.bias == r.bias && f.slope == r.slope));
  CHECK(f.intercept == r.intercept);
  stored_router apart = r;
  apart.thresholds = {{0.1, 0.2}, {0.5, 0.3}, {0.9, 0.4}};
  CHECK((apart.fold(0.05).threshold == 0.2 && apart.fold(0.89).threshold == 0.3 && apart.fold(0.9).threshold == 0.4));
  std::vector<routing::layer_sum> sums(3);
  routing::state_sink sink(f, sums.data());
  const std::vector<float> x = {1, 2};
  for (const std::int32_t state : {0, 1, 2, 3}) sink.add(state, {x.data(), 1, 2, 2, routing::number::float32});
  CHECK(sink.logit() == Approx(-0.1 + (0.5 - 2) + (2 + 0.5) + (3 + 2e-30)).margin(1e-12));
}

TEST_CASE("a field of a router's file that is missing, wrong or unknown is refused with its name") {
  const nlohmann::json fields = fields_of(sample());
  for (const auto& [name, value] : fields.items()) {
    nlohmann::json less = fields;
    less.erase(name);
    CHECK(refusal_of_fields(less) == "\"router\": has no \"" + name + "\"");
    nlohmann::json wrong = fields;
    wrong[name] = nullptr;
    CHECK(refusal_of_fields(wrong).find('"' + name + '"') != std::string::npos);
  }
  const auto with = [&](const char* name, const nlohmann::json& value) {
    nlohmann::json changed = fields;
    changed[name] = value;
    return refusal_of_fields(changed);
  };
  CHECK(with("seed", 1) == "\"router\": has an unknown field \"seed\"");
  CHECK(with("model", "abc") == "\"model\" is not 64 hexadecimal digits");
  CHECK(with("model", std::string(64, 'A')) == "\"model\" is not 64 hexadecimal digits");
  CHECK(with("states", 0) == "\"states\" must be in [1, 1048576]");
  CHECK(with("states", 1048577) == "\"states\" must be in [1, 1048576]");
  CHECK(with("states", 2147483647) == "\"states\" must be in [1, 1048576]");
  CHECK(with("states", 2147483648).find("whole number") != std::string::npos);
  CHECK(with("model", std::string(65, 'a')) == "\"model\" is not 64 hexadecimal digits");
  CHECK(with("thresholds", {{0.5, "a"}}) == "\"router\": \"thresholds\" is not a number");
  CHECK(with("thresholds", {{-0.1, 0.5}}).find("[0, 1]") != std::string::npos);
  CHECK(with("states", -4).find("whole number") != std::string::npos);
  CHECK(with("states", 3) == "\"layers\" must ascend within [0, 2]");
  CHECK(with("layers", {0, 3, 2}) == "\"layers\" must ascend within [0, 3]");
  CHECK(with("layers", {0, 0, 2}) == "\"layers\" must ascend within [0, 3]");
  CHECK(with("layers", {0, 1}).find("2 rows") != std::string::npos);
  CHECK(with("layers", nlohmann::json::array()).find("0 rows") != std::string::npos);
  CHECK(with("last_state", "transformers") == "\"router\": \"last_state\" is \"transformers\"");
  CHECK(with("tokens", "max") == "\"router\": \"tokens\" is \"max\"");
  CHECK(with("thresholds", nlohmann::json::array()) == "\"thresholds\" is empty");
  CHECK(with("thresholds", {{0.5, 0.5}, {0.5, 0.6}}).find("must ascend") != std::string::npos);
  CHECK(with("thresholds", {{0.5, 0.5}, {0.6, 0.4}}).find("not fall") != std::string::npos);
  CHECK(with("thresholds", {{1.5, 0.5}}).find("[0, 1]") != std::string::npos);
  CHECK(with("thresholds", {{0.5, 0.5, 1}}).find("pairs") != std::string::npos);
  CHECK(with("thresholds", {0.5}).find("pairs") != std::string::npos);
}

TEST_CASE("what is no router is refused, and of another format") {
  const stored_router r = sample();
  const std::string fields = fields_of(r).dump();
  const std::vector<tensor_source> v = {{"v", {3, 2}, r.v}};
  CHECK(refusal({}, v) == "is no router");
  CHECK(refusal({{"format", "pt"}}, v) == "is no router");
  CHECK(refusal({{"format", "hone router 2"}, {"router", fields}}, v).find("hone router 2") != std::string::npos);
  CHECK(refusal({{"format", "hone router 1"}}, v) == "has no \"router\" in its metadata");
  CHECK(refusal({{"format", "hone router 1"}, {"router", fields}, {"x", ""}}, v) == "has unknown metadata");
  CHECK(refusal({{"format", "hone router 1"}, {"router", "{"}}, v) == "\"router\": not valid JSON");
  CHECK(refusal({{"format", "hone router 1"}, {"router", "[]"}}, v) == "\"router\": is not an object");
  CHECK(refusal({{"format", "hone router 1"}, {"router", R"({"bias": 1, "bias": 2})"}}, v).find("twice") !=
        std::string::npos);
  const std::map<std::string, std::string> metadata = {{"format", "hone router 1"}, {"router", fields}};
  CHECK(refusal(metadata, {{"w", {3, 2}, r.v}}) == "there is no tensor \"v\"");
  CHECK(refusal(metadata, {{"v", {3, 2}, r.v}, {"w", {3, 2}, r.v}}) == "has tensors other than \"v\"");
  CHECK(refusal(metadata, {{"v", {3, 2}, r.v, format::float16}}).find("F16") != std::string::npos);
  CHECK(refusal(metadata, {{"v", {6}, r.v}}).find("3 rows") != std::string::npos);
  CHECK(refusal(metadata, {{"v", {2, 3}, r.v}}).find("3 rows") != std::string::npos);
  CHECK(refusal(metadata, {{"v", {3, 0}, {}}}).find("0 elements") != std::string::npos);
  std::vector<float> bad = r.v;
  bad[4] = std::numeric_limits<float>::infinity();
  CHECK(refusal(metadata, {{"v", {3, 2}, bad}}) == "element 4 of v is not finite");
}

TEST_CASE("a router's file that is cut anywhere is refused") {
  const scratch_folder folder;
  write_router(folder.path / "r", sample());
  const byte_vector whole = read_file(folder.path / "r");
  for (std::size_t size = 0; size < whole.size(); ++size)
    REQUIRE(format_error_of([&] { router_of(parse_safetensors(std::span(whole).first(size), "r"), "r"); }));
}

TEST_CASE("what would not be read is not written") {
  const scratch_folder folder;
  const auto refused = [&](auto&& change) {
    stored_router r = sample();
    change(r);
    CHECK_THROWS_AS(write_router(folder.path / "r", r), std::invalid_argument);
    CHECK(folder.entries() == 0);
  };
  refused([](stored_router& r) { r.model = "x"; });
  refused([](stored_router& r) { r.states = 3; });
  refused([](stored_router& r) { r.layers = {}; });
  refused([](stored_router& r) { r.v.pop_back(); });
  refused([](stored_router& r) { r.v[2] = std::nanf(""); });
  refused([](stored_router& r) { r.bias = std::nan(""); });
  refused([](stored_router& r) { r.slope = std::numeric_limits<double>::infinity(); });
  refused([](stored_router& r) { r.thresholds = {}; });
  refused([](stored_router& r) { r.thresholds[0].value = -std::numeric_limits<double>::infinity(); });
  refused([](stored_router& r) { r.training_data = "\xff"; });
  refused([](stored_router& r) { r.layers = {-1, 2, 3}; });
  refused([](stored_router& r) { r.intercept = std::nan(""); });
  refused([](stored_router& r) { r.thresholds[1].call_rate = std::nan(""); });
  refused([](stored_router& r) { r.states = (1 << 20) + 1; });
  refused([](stored_router& r) { r.layers = {1}, r.v.assign((1 << 20) + 1, 0.0f); });
  stored_router r = sample();
  r.thresholds = {{0, -5}, {1, 7}};
  r.states = 1 << 20;
  write_router(folder.path / "r", r);
  CHECK(read_router(folder.path / "r").states == 1 << 20);
  CHECK(read_router(folder.path / "r").thresholds[1].call_rate == 1);
}

TEST_CASE("a router is refused by a model that it was not trained on") {
  stored_router r = sample();
  const model_identity same = {r.model, {.d_model = 2, .n_layers = 3}};
  require_model(r, "r", same);
  model_identity copy = same;
  copy.hash = std::string(64, 'b');
  const auto error = format_error_of([&] { require_model(r, "r", copy); });
  REQUIRE(error);
  CHECK(std::string(error->what()) == "r: was trained on the model aaaaaaaaaaaa..., this one is bbbbbbbbbbbb...");
  require_model(r, "r", copy, copies::accepted);
  for (const auto accepted : {copies::refused, copies::accepted}) {
    model_identity other = same;
    other.config.n_layers = 4;
    CHECK(format_error_of([&] { require_model(r, "r", other, accepted); })->reason() ==
          "is for a model of 3 blocks of width 2, this one has 4 of width 2");
    other = same;
    other.config.d_model = 3;
    CHECK(format_error_of([&] { require_model(r, "r", other, accepted); }));
  }
}
