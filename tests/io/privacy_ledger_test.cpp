// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "hone/io/privacy_ledger.hpp"

#include <memory>

#include "support/catch.hpp"
#include "support/data.hpp"

#include <sys/wait.h>

using namespace hone;
using namespace hone::privacy;
using io::format_error;
using io::privacy_ledger;

namespace {

constexpr epsilon_delta total{1, 1e-6};

struct folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("hone_ledger_" + std::to_string(::getpid()));

  folder() { std::filesystem::create_directories(path); }
  ~folder() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::filesystem::path file() const { return path / "ledger.jsonl"; }
};

std::string content(const std::filesystem::path& path) {
  const auto bytes = io::read_file(path);
  return std::string(io::text_of(bytes));
}
void put(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}
std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    lines.push_back(text.substr(begin, end - begin + 1));
    begin = end + 1;
  }
  return lines;
}

/// A ledger of three releases.
void begin(const std::filesystem::path& path) {
  privacy_ledger<replace_one> ledger(path, total);
  for (const double epsilon : {0.125, 0.25, 0.0625})
    ledger.budget().reserve(approximate_loss<replace_one>(epsilon, 1e-7)).commit();
}

/// What opening says.
template <class Adjacency = replace_one, class... Accounting>
std::string refusal(const std::filesystem::path& path, epsilon_delta whole = total, Accounting&&... by) {
  try {
    const privacy_ledger<Adjacency> ledger(path, whole, by...);
  } catch (const format_error& error) {
    CHECK(error.file() == path.string());
    return std::to_string(error.where().at) + ": " + error.reason();
  }
  return "none";
}

}  // namespace

TEST_CASE("a ledger goes on where the last run stopped") {
  const folder here;
  const auto path = here.file();
  {
    privacy_ledger<replace_one> ledger(path, total);
    CHECK(ledger.releases() == 0);
    CHECK(lines_of(content(path)).size() == 1);
    auto first = ledger.budget().reserve(approximate_loss<replace_one>(0.5, 2e-7));
    CHECK(lines_of(content(path)).size() == 1);  // reserved in memory, written when committed
    first.commit();
    const auto lines = lines_of(content(path));
    CHECK(lines.size() == 2);
    const auto entry = nlohmann::json::parse(lines[1]);
    CHECK(entry["release"] == 1);
    CHECK(entry["family"] == "approximate");
    CHECK(entry["epsilon"] == 0.5);
    CHECK(entry["delta"] == 2e-7);
    CHECK(ledger.releases() == 1);
  }
  {
    privacy_ledger<replace_one> ledger(path, total);
    CHECK(ledger.releases() == 1);
    CHECK(ledger.budget().spent() == epsilon_delta{0.5, 2e-7});
    CHECK_THROWS_AS(ledger.budget().reserve(approximate_loss<replace_one>(0.51)), budget_exhausted);
    ledger.budget().reserve(approximate_loss<replace_one>(0.1)).commit();
  }
  privacy_ledger<replace_one> ledger(path, total);
  CHECK(ledger.releases() == 2);
  CHECK(ledger.budget().spent().epsilon == Approx(0.6).epsilon(1e-14));
  CHECK(ledger.budget().spent().delta == 2e-7);
}

TEST_CASE("every family comes back with its numbers") {
  const folder here;
  const std::vector<loss_curve<add_or_remove>> curves = {approximate_loss<add_or_remove>(0.1),
                                                         concentrated_loss<add_or_remove>(0.001),
                                                         concentrated_loss<add_or_remove>(1.0 / 3e4, 1e-7),
                                                         gaussian_loss<add_or_remove>(31.4, 1e-8),
                                                         laplace_loss<add_or_remove>(17),
                                                         sampled_gaussian_loss(0.01, 3)};
  const filter by{.of = filter::sum::renyi, .order = 6.5};
  epsilon_delta spent;
  {
    privacy_ledger<add_or_remove> ledger(here.file(), {5, 1e-6}, by);
    for (const auto& curve : curves) ledger.budget().reserve(curve).commit();
    spent = ledger.budget().spent();
  }
  CHECK(spent.epsilon > 0);
  privacy_ledger<add_or_remove> ledger(here.file(), {5, 1e-6}, by);
  CHECK(ledger.releases() == 6);
  CHECK(ledger.budget().spent() == spent);
}

TEST_CASE("a plan's ledger keeps which steps are left") {
  const folder here;
  const auto a = approximate_loss<replace_one>(0.1), b = concentrated_loss<replace_one>(0.01);
  const auto plan = plan_best_order<replace_one>({{a, 1}, {b, 2}}, 1e-6);
  const epsilon_delta enough{plan.cost.epsilon, 1e-6};
  {
    privacy_ledger<replace_one> ledger(here.file(), enough, plan);
    ledger.budget().reserve(b).commit();
    ledger.budget().reserve(a).commit();
  }
  {
    privacy_ledger<replace_one> ledger(here.file(), enough, plan);
    CHECK_THROWS_AS(ledger.budget().reserve(a), budget_exhausted);
    ledger.budget().reserve(b).commit();
    CHECK_THROWS_AS(ledger.budget().reserve(b), budget_exhausted);
  }
  auto other = plan;
  other.steps[1].count = 3;
  CHECK_THAT(refusal<replace_one>(here.file(), enough, other),
             Catch::StartsWith("1: the ledger is of another budget: its steps is "));
}

TEST_CASE("whatever is changed, its line is named") {
  const folder here;
  const auto path = here.file();
  begin(path);
  const std::string whole = content(path);
  const auto lines = lines_of(whole);
  REQUIRE(lines.size() == 4);
  CHECK(refusal(path) == "none");
  for (std::size_t i = 0; i < lines.size(); ++i)
    for (const char* field : {"\"epsilon\":0.", "\"epsilon\":1.", "\"chain\":\"", "\"family\":\"", "\"release\":"}) {
      const std::size_t at = lines[i].find(field);
      if (at == std::string::npos) continue;
      std::string changed = lines[i];
      char& c = changed[at + std::strlen(field)];
      c = c == '1' ? '2' : '1';
      std::string text;
      for (std::size_t j = 0; j < lines.size(); ++j) text += j == i ? changed : lines[j];
      put(path, text);
      INFO(changed);
      CHECK(refusal(path) ==
            std::to_string(i + 1) + ": is damaged, or a line before it is missing: its chain does not fit");
    }
  put(path, lines[0] + lines[2] + lines[3]);
  CHECK_THAT(refusal(path), Catch::StartsWith("2: is damaged"));
  put(path, lines[0] + lines[1] + lines[1] + lines[2]);
  CHECK_THAT(refusal(path), Catch::StartsWith("3: is damaged"));
  put(path, lines[0] + lines[2] + lines[1]);
  CHECK_THAT(refusal(path), Catch::StartsWith("2: is damaged"));
  put(path, whole.substr(0, whole.size() - 1));
  CHECK(refusal(path) == "4: is cut short");
  put(path, whole.substr(0, whole.size() - 40));
  CHECK(refusal(path) == "4: is cut short");
  put(path, lines[0].substr(0, 20));
  CHECK(refusal(path) == "1: is cut short");
  put(path, whole + "garbage\n");
  CHECK_THAT(refusal(path), Catch::StartsWith("5: not valid JSON"));
  put(path, whole + "{}\n");
  CHECK(refusal(path) == "5: no field \"chain\"");
  put(path, "\n");
  CHECK(refusal(path) == "0: has no line");
  put(path, "");  // nothing was ever written
  CHECK(refusal(path) == "none");
  put(path, whole);
  CHECK(refusal(path) == "none");
}

TEST_CASE("another budget's ledger is refused, and so is one that holds more than its total") {
  const folder here;
  const auto path = here.file();
  begin(path);
  CHECK(refusal(path, {2, 1e-6}) == "1: the ledger is of another budget: its epsilon is 1.0, not 2.0");
  CHECK(refusal(path, {1, 1e-7}) == "1: the ledger is of another budget: its delta is 1e-06, not 1e-07");
  CHECK(refusal<add_or_remove>(path) ==
        "1: the ledger is of another budget: its adjacency is \"replace_one\", not \"add_or_remove\"");
  CHECK(refusal<replace_one>(path, total, filter{.of = filter::sum::concentrated}) ==
        "1: the ledger is of another budget: its accounting is \"basic\", not \"concentrated\"");
  const auto other = here.path / "renyi";
  {
    const privacy_ledger<replace_one> ledger(other, total, {.of = filter::sum::renyi, .order = 4});
  }
  CHECK(refusal<replace_one>(other, total, filter{.of = filter::sum::renyi, .order = 5}) ==
        "1: the ledger is of another budget: its order is 4.0, not 5.0");
  CHECK(refusal<replace_one>(other, total, filter{.of = filter::sum::renyi, .order = 4}) == "none");

  // Lines as the ledger writes them, of a larger budget, under a first line of a smaller one.
  const auto rewritten = [&](epsilon_delta whole, const std::vector<nlohmann::json>& entries) {
    std::string text, chain;
    std::vector<nlohmann::json> all = {{{"ledger", "hone privacy"},
                                        {"version", 1},
                                        {"adjacency", "replace_one"},
                                        {"epsilon", whole.epsilon},
                                        {"delta", whole.delta},
                                        {"accounting", "basic"}}};
    all.insert(all.end(), entries.begin(), entries.end());
    for (nlohmann::json& fields : all) {
      io::sha256 hash;
      hash.add(chain + fields.dump());
      chain = hash.digits();
      fields["chain"] = chain;
      text += fields.dump() + "\n";
    }
    put(path, text);
    return refusal(path, whole);
  };
  nlohmann::json entry = {{"release", 1}, {"family", "approximate"}, {"epsilon", 0.5},
                          {"delta", 0.0}, {"parameter", 0.0},        {"rate", 1.0}};
  CHECK(rewritten({0.5, 0}, {entry}) == "none");
  CHECK_THAT(rewritten({0.4, 0}, {entry}), Catch::StartsWith("2: hone::privacy::budget: exhausted"));
  CHECK(rewritten({1, 0}, {entry, entry}) == "3: a release is missing");
  const auto with = [&](const char* field, nlohmann::json value) {
    nlohmann::json changed = entry;
    changed[field] = std::move(value);
    return rewritten({1, 0}, {changed});
  };
  CHECK(with("family", "other") == "2: unknown family \"other\"");
  CHECK(with("epsilon", -0.5) == "2: \"epsilon\" is out of its range");
  CHECK(with("delta", 1.5) == "2: \"delta\" is out of its range");
  CHECK(with("parameter", -1) == "2: \"parameter\" is out of its range");
  CHECK(with("rate", 2) == "2: \"rate\" is out of its range");
  CHECK(with("rate", "all") == "2: \"rate\" is not a number");
  CHECK(with("epsilon", nullptr) == "2: hone::privacy::budget: curve: has no epsilon without a delta");
}

TEST_CASE("a ledger is open once, here and in other processes, and can be opened when it is closed") {
  const folder here;
  const auto path = here.file();
  {
    const privacy_ledger<replace_one> ledger(path, total);
    CHECK(refusal(path) == "0: the ledger is open already, here or in another process");
    const ::pid_t child = ::fork();
    if (child == 0) {
      int code = 1;
      try {
        const privacy_ledger<replace_one> second(path, total);
      } catch (const format_error&) {
        code = 0;
      }
      ::_exit(code);
    }
    int status = 1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  CHECK(refusal(path) == "none");
}

TEST_CASE("a file that changes under an open ledger stops its releases for good") {
  const folder here;
  const auto path = here.file();
  const auto stopped = [&](auto&& change, const char* reason) {
    std::filesystem::remove(path);
    begin(path);
    privacy_ledger<replace_one> ledger(path, total);
    auto first = ledger.budget().reserve(approximate_loss<replace_one>(0.125));
    change();
    CHECK_THROWS_WITH(first.commit(), path.string() + ": " + reason);
    CHECK(!first.committed());
    CHECK(ledger.releases() == 3);
    CHECK(ledger.budget().spent().epsilon == 0.4375);
    CHECK(ledger.budget().reserved().epsilon == 0.5625);
    CHECK_THROWS_WITH(first.commit(), path.string() + ": an earlier release could not be written");
  };
  stopped([&] { std::ofstream(path, std::ios::app) << "{}\n"; }, "the ledger was changed while it was open");
  stopped([&] { std::filesystem::resize_file(path, 10); }, "the ledger was changed while it was open");
  stopped(
      [&] {
        const std::string text = content(path);
        std::filesystem::rename(path, here.path / "old");
        put(path, text);
      },
      "the ledger was moved or replaced while it was open");
  stopped([&] { std::filesystem::remove(path); }, "the ledger was moved or replaced while it was open");
}

TEST_CASE("what cannot be a ledger is refused") {
  const folder here;
  CHECK_THROWS_AS(privacy_ledger<replace_one>(here.path, total), std::system_error);  // a folder
  CHECK_THROWS_AS(privacy_ledger<replace_one>(here.path / "none" / "file", total), std::system_error);
  CHECK_THROWS_AS(privacy_ledger<replace_one>(here.file(), {-1, 0}), std::invalid_argument);
  CHECK(!std::filesystem::exists(here.file()));
  REQUIRE(::mkfifo(here.file().c_str(), 0600) == 0);
  CHECK(refusal(here.file()) == "0: not a regular file");
}
