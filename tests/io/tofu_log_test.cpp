// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/tofu_log.hpp"

#include "io/support.hpp"
#include "support/data.hpp"

using namespace hone;
using namespace hone::io;

namespace {

using vector = std::vector<double>;
using json = nlohmann::ordered_json;

/// Two questions in every set, with numbers that say where they belong.
json small_log() {
  json log;
  double base = 0;
  for (const char* set : {"eval_log.json", "eval_real_author_wo_options.json", "eval_real_world_wo_options.json",
                          "eval_log_forget.json"}) {
    base += 10;
    log[set] = {{"avg_gt_loss", {{"0", base + 1}, {"1", base + 2}}},
                {"generated_text", {{"0", {"Question", {"nested", 1}}}, {"1", nullptr}}},
                {"rougeL_recall", {{"0", 0.25}, {"1", 1}}},
                {"average_perturb_loss", {{"0", {base + 5, base + 6, base + 7}}, {"1", {1, 2, 3}}}},
                {"avg_paraphrased_loss", {{"0", base + 3}, {"1", base + 4.5}}}};
  }
  return log;
}

tofu_log parse(const json& log) { return parse_tofu_log(log.dump(), "log.json"); }

std::string reason_of(std::string_view text) {
  const auto error = format_error_of([&] { parse_tofu_log(text, "log.json"); });
  REQUIRE(error);
  CHECK(error->file() == "log.json");
  CHECK(error->where().at <= text.size());
  return error->reason();
}

/// The reason when @p value is at @p pointer of an otherwise good log.
std::string reason_with(const char* pointer, const json& value) {
  json log = small_log();
  log[json::json_pointer(pointer)] = value;
  return reason_of(log.dump());
}

}  // namespace

TEST_CASE("the four sets of a log are read, and what else it has is passed over") {
  json log = small_log();
  log["eval_something_else.json"] = {1, {{"avg_gt_loss", "no"}}};
  log["config"] = "a string";
  log["eval_log.json"]["truth_ratio"] = {{"0", "text"}};
  const tofu_log read = parse(log);
  CHECK(read.retain.answer == vector{11, 12});
  CHECK(read.retain.right == vector{13, 14.5});
  CHECK(read.retain.wrong == vector{15, 16, 17, 1, 2, 3});
  CHECK(read.retain.rouge_l == vector{0.25, 1});
  CHECK(read.real_authors.answer == vector{21, 22});
  CHECK(read.world_facts.answer == vector{31, 32});
  CHECK(read.forget.answer == vector{41, 42});
  const eval::tofu_answers view = read.forget;
  CHECK(view.wrong.size() == 6);
  CHECK(eval::score_tofu(view, eval::tofu_part::forget, eval::truth_ratio::geometric).rouge_l.mean == 0.625);
}

TEST_CASE("questions are matched by name, in whatever order") {
  json log = small_log();
  log["eval_log.json"]["average_perturb_loss"] = {{"1", {1, 2, 3}}, {"0", {15, 16, 17}}};
  log["eval_log.json"]["rougeL_recall"] = {{"1", 1}, {"0", 0.25}};
  const tofu_log read = parse(log), straight = parse(small_log());
  CHECK(read.retain.wrong == straight.retain.wrong);
  CHECK(read.retain.rouge_l == straight.retain.rouge_l);
}

TEST_CASE("numbers may be written as integers, negative, and in any of JSON's ways; a byte-order mark is accepted") {
  json log = small_log();
  log["eval_log.json"]["avg_gt_loss"] = {{"0", -3}, {"1", 1e-5}};
  CHECK(parse(log).retain.answer == vector{-3, 1e-5});
  CHECK(parse_tofu_log("\xef\xbb\xbf" + log.dump(4), "log.json").retain.answer == vector{-3, 1e-5});
}

TEST_CASE("what is not JSON is refused with its byte") {
  const std::string good = small_log().dump();
  for (const std::string& text : {std::string(), std::string("{"), good + "x", good.substr(0, good.size() - 1),
                                  std::string("\xff"), std::string("{\"a\":\"\x01\"}"), std::string("\0", 1)})
    CHECK(reason_of(text) == "not valid JSON");
  CHECK(reason_of("{\"a\":1e999}") == "a number overflows");
  CHECK(format_error_of([] { parse_tofu_log("{\"a\": tru", "log.json"); })->where().at == 9);
  CHECK(reason_of(R"({"eval_log.json": {"avg_gt_loss": {"0": NaN}}})") ==
        "not valid JSON: NaN and Infinity, as Python writes them, are no numbers");
  CHECK(reason_of(R"({"eval_log.json": {"avg_gt_loss": {"0": -Infinity}}})") ==
        "not valid JSON: NaN and Infinity, as Python writes them, are no numbers");
}

TEST_CASE("another type than an object's is refused with the path") {
  for (const std::string text : {"[]", "1", "\"a\"", "null", "true"})
    CHECK(reason_of(text).starts_with("the file is "));
  CHECK(reason_with("/eval_log.json", {1}) == "eval_log.json is an array, must be an object");
  CHECK(reason_with("/eval_log.json", "a") == "eval_log.json is a string, must be an object");
  CHECK(reason_with("/eval_log.json/avg_gt_loss", {1}) == "eval_log.json/avg_gt_loss is an array, must be an object");
  CHECK(reason_with("/eval_log.json/avg_gt_loss", 1) == "eval_log.json/avg_gt_loss is a number, must be an object");
  CHECK(reason_with("/eval_log.json/avg_gt_loss", nullptr) == "eval_log.json/avg_gt_loss is null, must be an object");
}

TEST_CASE("values of another type are refused with the path") {
  const std::pair<json, std::string> others[] = {
      {"a", "a string"}, {true, "a boolean"}, {nullptr, "null"}, {{{"a", 1}}, "an object"}};
  for (const auto& [value, name] : others) {
    CHECK(reason_with("/eval_log.json/avg_gt_loss/1", value) ==
          "eval_log.json/avg_gt_loss/1 is " + name + ", must be a number");
    CHECK(reason_with("/eval_log_forget.json/average_perturb_loss/0", value) ==
          "eval_log_forget.json/average_perturb_loss/0 is " + name + ", must be an array of numbers");
    CHECK(reason_with("/eval_log_forget.json/average_perturb_loss/0/1", value) ==
          "eval_log_forget.json/average_perturb_loss/0 holds " + name + ", must be an array of numbers");
  }
  CHECK(reason_with("/eval_log.json/avg_gt_loss/1", {1}) ==
        "eval_log.json/avg_gt_loss/1 is an array, must be a number");
  CHECK(reason_with("/eval_log.json/average_perturb_loss/1", 1) ==
        "eval_log.json/average_perturb_loss/1 is a number, must be an array of numbers");
  CHECK(reason_with("/eval_log.json/average_perturb_loss/1/0", json::array()) ==
        "eval_log.json/average_perturb_loss/1 holds an array, must be an array of numbers");
}

TEST_CASE("recalls outside [0, 1] and empty arrays are refused") {
  CHECK(reason_with("/eval_log.json/rougeL_recall/0", 1.5) == "eval_log.json/rougeL_recall/0 is not between 0 and 1");
  CHECK(reason_with("/eval_log.json/rougeL_recall/1", -1) == "eval_log.json/rougeL_recall/1 is not between 0 and 1");
  CHECK(reason_with("/eval_log.json/average_perturb_loss/0", json::array()) ==
        "eval_log.json/average_perturb_loss/0 is an empty array");
  CHECK(reason_with("/eval_log.json/average_perturb_loss/1", {1, 2}) ==
        "eval_log.json/average_perturb_loss/1 has 2 numbers, the questions before have 3");
}

TEST_CASE("what is not there, or there twice, is named, at the byte of what it is missing from") {
  for (const char* set : {"eval_log.json", "eval_log_forget.json", "eval_real_author_wo_options.json",
                          "eval_real_world_wo_options.json"}) {
    json log = small_log();
    log.erase(set);
    CHECK(reason_of(log.dump()) == std::string(set) + " is not there");
    for (const char* field : {"avg_gt_loss", "avg_paraphrased_loss", "average_perturb_loss", "rougeL_recall"}) {
      log = small_log();
      log[set].erase(field);
      CHECK(reason_of(log.dump()) == std::string(set) + "/" + field + " is not there");
      CHECK(reason_with((std::string("/") + set + "/" + field).c_str(), json::object()) ==
            std::string(set) + "/" + field + " has no question");
    }
  }
  const auto error = [](std::string_view text) { return format_error_of([&] { parse_tofu_log(text, "log.json"); }); };
  CHECK(error("{}")->where().in == position::unit::none);
  CHECK(error(R"({ "eval_log_forget.json": {}})")->where().at == 2);
  CHECK(error(R"({"eval_log_forget.json": { "avg_gt_loss": {}}})")->where().at == 27);
  CHECK(reason_of(R"({"eval_log.json": {}, "eval_log.json": {}})") == "the key \"eval_log.json\" appears twice");
  CHECK(reason_of(R"({"eval_log.json": {"avg_gt_loss": {}, "avg_gt_loss": {}}})") ==
        "the key \"avg_gt_loss\" appears twice");
  CHECK(reason_of(R"({"other": {"a": [{"b": 1, "b": 2}]}})") == "the key \"b\" appears twice");
  std::string twice = small_log().dump();
  twice.replace(twice.find("\"1\""), 3, "\"0\"");
  CHECK(reason_of(twice) == "the key \"0\" appears twice");
}

TEST_CASE("fields must ask the same questions") {
  CHECK(reason_with("/eval_log.json/rougeL_recall", {{"0", 1}}) ==
        "eval_log.json/rougeL_recall has 1 questions, avg_gt_loss has 2");
  CHECK(reason_with("/eval_log.json/rougeL_recall", {{"0", 1}, {"2", 1}}) ==
        "eval_log.json/rougeL_recall has no question 1");
}

TEST_CASE("a log is nested as deep as every JSON may be, whatever its members") {
  const std::string open(1000000, '['), close(1000000, ']');
  CHECK(reason_of(open) == "the file is an array, must be an object");
  std::string log = small_log().dump();
  log.insert(1, "\"other\":" + open + close + ",");
  CHECK(reason_of(log) == "nested more than 64 deep");
  CHECK(reason_of(R"({"eval_log.json": {"average_perturb_loss": {"0": )" + open) ==
        "eval_log.json/average_perturb_loss/0 holds an array, must be an array of numbers");
}

TEST_CASE("a log on disk is read, and named where it is wrong or absent") {
  const scratch_folder folder;
  const auto path = folder.path / "log.json";
  const auto write = [&](const std::string& text) {
    atomic_file file(path);
    file.write(text);
    file.commit();
  };
  write(small_log().dump());
  CHECK(read_tofu_log(path).forget.answer.size() == 2);
  write("{}");
  CHECK_THROWS_WITH(read_tofu_log(path), path.string() + ": eval_log_forget.json is not there");
  CHECK_THROWS_AS(read_tofu_log(folder.path / "absent"), std::system_error);
}

TEST_CASE("the benchmark's logs of phi-1.5 give the reference values to eight digits") {
  const auto full_file = data_file("tofu_eval_logs/phi_full.json"),
             retain_file = data_file("tofu_eval_logs/phi_retain90.json");
  if (!full_file || !retain_file) return;
  using eval::tofu_part, eval::truth_ratio;
  const tofu_log full = read_tofu_log(*full_file), retrained = read_tofu_log(*retain_file);
  const auto utility = [](const tofu_log& log, truth_ratio kind) {
    return eval::model_utility(score_tofu(log.retain, tofu_part::retain, kind),
                               score_tofu(log.real_authors, tofu_part::real_authors, kind),
                               score_tofu(log.world_facts, tofu_part::world_facts, kind));
  };
  const auto rounds_to = [](double value, double expected) { CHECK(std::abs(value - expected) <= 0.5000001e-8); };
  rounds_to(utility(full, truth_ratio::geometric), 0.52207371);
  rounds_to(utility(full, truth_ratio::arithmetic), 0.50335303);
  rounds_to(utility(retrained, truth_ratio::geometric), 0.53199091);
  rounds_to(utility(retrained, truth_ratio::arithmetic), 0.51300118);

  const auto components = [&](const tofu_log_set& set, tofu_part part, double probability, double rouge, double truth) {
    const eval::tofu_score s = score_tofu(set, part, truth_ratio::geometric);
    rounds_to(s.probability.mean, probability);
    rounds_to(s.rouge_l.mean, rouge);
    rounds_to(s.truth_ratio.mean, truth);
  };
  components(full.real_authors, tofu_part::real_authors, .37736033, .41566667, .45600902);
  components(full.world_facts, tofu_part::world_facts, .40899845, .77735043, .49233691);
  components(full.retain, tofu_part::retain, .92608842, .92925251, .48268301);
  components(full.forget, tofu_part::forget, .92823948, .92486126, .48335559);

  const statistics::ks_result geometric = forget_quality(full.forget, retrained.forget, truth_ratio::geometric);
  CHECK(geometric.statistic == Approx(104.0 / 300).epsilon(1e-15));
  CHECK(geometric.p_value == Approx(2.1942743021891e-16).epsilon(1e-12));
  CHECK(geometric.log10_p == Approx(-15.658709).epsilon(1e-7));
  CHECK(geometric.n == 300);
  CHECK(geometric.m == 300);
  const statistics::ks_result arithmetic = forget_quality(full.forget, retrained.forget, truth_ratio::arithmetic);
  CHECK(arithmetic.statistic == Approx(0.35666667).epsilon(1e-7));
  CHECK(arithmetic.p_value == Approx(2.43112821e-17).epsilon(1e-8));
}
