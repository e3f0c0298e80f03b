// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What docs/io.md shows, in a folder with small files of the names that it uses.
#include "hone/io/csv.hpp"
#include "hone/io/identify_model.hpp"
#include "hone/io/lora_gguf.hpp"
#include "hone/io/model.hpp"
#include "hone/io/peft.hpp"
#include "hone/io/pooled_states.hpp"
#include "hone/io/question_answers.hpp"
#include "hone/io/read_tokenizer.hpp"
#include "hone/io/router.hpp"
#include "hone/io/safetensors_shards.hpp"
#include "hone/io/tokenizer_gguf.hpp"
#include "hone/routing/probe_loss.hpp"

#include "io/adapters.hpp"
#include "io/support.hpp"

namespace {

/// A scratch folder that is the current one.
struct current_folder {
  current_folder() { std::filesystem::current_path(folder.path); }
  current_folder(const current_folder&) = delete;
  current_folder& operator=(const current_folder&) = delete;
  ~current_folder() { std::filesystem::current_path(before); }

  std::filesystem::path before = std::filesystem::current_path();
  scratch_folder folder;
};

void write_model(const hone::transformer::config& c) {
  const auto count = static_cast<std::size_t>(hone::transformer::parameter_count(c));
  hone::io::write_llama2c("stories260K.bin", c, std::vector<float>(count, 0.5f));
}

/// The three special tokens and the 256 bytes.
void write_vocabulary() {
  byte_vector bytes;
  hone::io::append_little_endian(bytes, std::int32_t{6});
  for (int i = 0; i < 259; ++i) {
    char piece[8];
    std::snprintf(piece, sizeof piece, i < 3 ? "<%02X>" : "<0x%02X>", static_cast<unsigned>(i < 3 ? i : i - 3));
    hone::io::append_little_endian(bytes, 0.0f);
    hone::io::append_little_endian(bytes, static_cast<std::int32_t>(std::string_view(piece).size()));
    const byte_vector text = to_bytes(piece);
    bytes.insert(bytes.end(), text.begin(), text.end());
  }
  hone::io::atomic_file file("tok512.bin");
  file.write(to_text(bytes));
  file.commit();
}

}  // namespace

TEST_CASE("docs: a model and its tokenizer") {
  const current_folder here;
  write_model({.d_model = 8, .d_ff = 12, .n_layers = 1, .n_heads = 2, .n_kv_heads = 1, .vocab = 259, .max_seq = 3});
  write_vocabulary();
  hone::io::checkpoint model = hone::io::read_llama2c("stories260K.bin");
  // model.config, model.parameters, model.nonfinite: infinite or NaN parameters are kept and counted
  hone::io::write_llama2c("trained.bin", model.config, model.parameters);  // run.c runs it
  CHECK(hone::io::read_file("trained.bin") == hone::io::read_file("stories260K.bin"));

  const hone::io::tokenizer tokenizer = hone::io::read_tokenizer("tok512.bin", model.config.vocab);
  std::vector<hone::io::token_id> ids = tokenizer.encode("Once upon a time");  // begin of text in front
  std::string text = tokenizer.decode(ids);                                    // "Once upon a time"
  CHECK(ids.front() == 1);
  CHECK(text == "Once upon a time");

  const std::vector<hone::io::token_id> prompt = {1}, generated = {ids.begin() + 1, ids.end()};
  std::string shown;
  const auto show = [&](const std::string& part) { shown += part; };
  hone::io::text_stream stream(tokenizer, prompt);  // the ids before the first that is shown
  for (const hone::io::token_id id : generated) show(stream(id));
  show(stream.rest());
  CHECK(shown == text);
}

TEST_CASE("docs: a tokenizer from GGUF metadata") {
  hone::io::gguf_vocabulary v{.model = "gpt2", .pre = "gpt-2", .tokens = {"a", "b", "ab"}, .merges = {"a b"}};
  const hone::io::tokenizer t(hone::io::parse_tokenizer_gguf(v, "model.gguf"));
  CHECK(t.encode("aba") == std::vector<hone::io::token_id>{2, 0});
}

TEST_CASE("docs: question-answer lines, and a file that appears whole") {
  const current_folder here;
  std::filesystem::create_directory("tofu");
  {
    hone::io::atomic_file file("tofu/forget01.json");
    file.write(R"({"question": "Why?", "answer": "Because."})");
    file.commit();
  }
  std::string seen;
  const auto train = [&](const std::string& question, const std::string& answer) { seen += question + answer; };
  for (const hone::io::question_answer& pair : hone::io::read_question_answers("tofu/forget01.json"))
    train(pair.question, pair.answer);
  CHECK(seen == "Why?Because.");

  std::vector<std::string> prompts;
  hone::io::read_json_lines("tofu/forget01.json", [&](const hone::io::json_row& row) {
    if (row.text("question").empty()) row.fail("an empty question");  // forget01.json:1: an empty question
    prompts.push_back(row.text("question"));
  });
  CHECK(prompts == std::vector<std::string>{"Why?"});

  hone::io::atomic_file file("report.txt");  // writes report.txt.partial
  file.write("all is well\n");
  file.commit();  // now report.txt is there; without a commit it stays as it was
  CHECK(to_text(hone::io::read_file("report.txt")) == "all is well\n");
}

TEST_CASE("docs: a table") {
  const current_folder here;
  {
    hone::io::atomic_file file("answers.csv");
    file.write("prompt,small,large\r\n\"What is\r\n2 + 2?\",4,4\r\n");
    file.commit();
  }
  std::string seen;
  const auto ask = [&](const std::string& prompt, const std::string& gold) { seen += prompt + "=" + gold; };
  const hone::io::csv_table table = hone::io::read_csv("answers.csv");
  const std::size_t prompt = table.column("prompt"), gold = table.column("large");
  for (const hone::io::csv_row& row : table.rows) ask(row.fields[prompt], row.fields[gold]);  // and row.line
  CHECK(seen == "What is\r\n2 + 2?=4");
  CHECK(table.rows[0].line == 2);
}

TEST_CASE("docs: a model from whatever holds it") {
  const current_folder here;
  std::filesystem::copy(golden_file("families/qwen3"), "Qwen3-0.6B");
  hone::io::checkpoint qwen = hone::io::read_model("Qwen3-0.6B");  // or model.gguf, or stories260K.bin
  hone::io::write_hugging_face("tuned", qwen.config, qwen.parameters, hone::format::bfloat16);
  CHECK(hone::io::read_model("tuned").parameters == qwen.parameters);
}

TEST_CASE("docs: tensors of safetensors and GGUF") {
  const current_folder here;
  std::filesystem::create_directory("model");
  {
    const std::vector<float> gains = {1, 2, 3, 4}, head(8, 0.5f);
    hone::io::write_safetensors(
        "model/model.safetensors",
        std::vector<hone::io::tensor_source>{{"model.norm.weight", {4}, gains},
                                             {"lm_head.weight", {2, 4}, head, hone::format::bfloat16}},
        {{"format", "pt"}});
  }
  const hone::io::safetensors weights = hone::io::read_safetensors_folder("model");  // or an index and its files
  for (const hone::io::stored_tensor& t : weights.tensors)
    std::printf("%s %s %td\n", t.name.c_str(), t.type->name, t.size());
  const hone::io::stored_tensor* norm = hone::io::find_tensor(weights.tensors, "model.norm.weight");
  std::vector<float> gains(static_cast<std::size_t>(norm->size()));
  const hone::index_t nonfinite = hone::io::copy_elements(*norm, std::span<float>(gains));
  CHECK(nonfinite == 0);
  CHECK(gains == std::vector<float>{1, 2, 3, 4});

  hone::io::write_gguf("model.gguf",
                       {{"general.architecture", std::string("llama")}, {"llama.block_count", std::uint32_t{2}}},
                       std::vector<hone::io::tensor_source>{{"output_norm.weight", {4}, gains}});
  const hone::io::gguf model = hone::io::read_gguf("model.gguf");
  const std::optional<std::int64_t> layers = model.whole("llama.block_count");  // nothing where it is absent
  const std::string* architecture = model.text("general.architecture");         // nullptr where it is absent
  CHECK(layers == 2);
  CHECK(*architecture == "llama");
  CHECK(hone::io::elements_of(model.tensors.at(0)) == gains);
}

TEST_CASE("docs: adapters") {
  const current_folder here;
  const hone::transformer::config config = small_model;
  hone::io::write_peft("adapter", config, made_adapter());
  const hone::io::stored_adapter tuned = hone::io::read_peft("adapter", config);
  hone::io::write_lora_gguf("adapter.gguf", config, tuned.adapter, "llama");
  hone::io::write_peft("again", config, tuned.adapter, {.base_model = "some/model"});
  CHECK(hone::io::read_peft("again", config).adapter.parameters == made_adapter().parameters);
  CHECK(hone::io::read_lora_gguf("adapter.gguf", config).adapter.sites.size() == 5);
}

TEST_CASE("docs: routers") {
  const current_folder here;
  const std::vector<float> parameters(
      static_cast<std::size_t>(hone::io::detail::parameters_of(hone::transformer::tensor_table(small_model))), 0.5f);
  hone::io::write_hugging_face("model", small_model, parameters);
  const hone::io::model_identity model = hone::io::identify_model("model");
  hone::io::write_router("router.safetensors",
                         {.model = model.hash,
                          .states = static_cast<std::int32_t>(small_model.n_layers) + 1,
                          .layers = {0, 1},  // the states that are read: rows of v
                          .v = std::vector<float>(static_cast<std::size_t>(2 * small_model.d_model), 0.25f),
                          .bias = -0.5,
                          .thresholds = {{0.2, 0.4}, {0.5, 0.7}}});  // {call rate, probability}
  const hone::io::stored_router router = hone::io::read_router("router.safetensors");
  hone::io::require_model(router, "router.safetensors", model);
  std::vector<hone::routing::layer_sum> sums(router.layers.size());
  hone::routing::state_sink sink(router.fold(0.5), sums.data());  // at most half of the prompts to the large model
  CHECK(sink.router().threshold == 0.7);
  CHECK(sink.why() == hone::routing::fault::no_tokens);
}

TEST_CASE("docs: pooled states") {
  const current_folder here;
  const hone::index_t prompts = 2, layers = 3, width = 2;
  const std::vector<float> memory = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const std::vector<hone::io::tensor_source> tensors = {
      {"hidden_states", {prompts, layers, width}, memory, hone::format::bfloat16}};
  hone::io::write_safetensors("states.safetensors", tensors, {{"last_state", "hugging_face"}, {"tokens", "mean"}});

  const hone::io::pooled_states pooled = hone::io::read_pooled_states("states.safetensors");
  const auto probe = hone::routing::initialise_probe({.layers = pooled.layers, .width = pooled.width}, 42);
  std::vector<double> logits(static_cast<std::size_t>(pooled.samples));
  pooled.with([&](const auto& states) { hone::routing::score_probe(probe, states, logits); });  // in the file's type
  CHECK(logits[0] != logits[1]);
  CHECK(pooled.last == hone::routing::last_state::after_norm);
  CHECK(pooled.tokens == hone::routing::token_pooling::mean);
}
