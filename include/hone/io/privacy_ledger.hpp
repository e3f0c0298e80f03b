// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// A privacy budget that lasts over runs: a file of JSON lines, the first the budget's, then one for each release that
/// was committed. While a ledger is open the file is locked, and a release's line is on the disk before `commit`
/// returns. Each line has the SHA-256 of its fields and all lines before it, so that a line that was changed, taken out
/// or written in half is found; that the last lines were cut off is not, nor a forger.
#pragma once
#include "hone/io/json_lines.hpp"
#include "hone/io/sha256.hpp"
#include "hone/privacy/budget.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace HONE_NAMESPACE::io {

namespace detail {

inline constexpr const char* loss_families[] = {"approximate", "concentrated", "gaussian", "laplace",
                                                "sampled_gaussian"};

template <class Adjacency>
nlohmann::json loss_fields(const privacy::loss_curve<Adjacency>& curve) {
  nlohmann::json fields = {{"family", loss_families[static_cast<std::size_t>(curve.family)]},
                           {"epsilon", curve.basic.epsilon},
                           {"delta", curve.basic.delta},
                           {"parameter", curve.parameter},
                           {"rate", curve.rate}};
  if (curve.basic.epsilon == std::numeric_limits<double>::infinity()) fields["epsilon"] = nullptr;
  return fields;
}

/// A file descriptor that closes itself; its lock goes with it.
struct descriptor {
  int number = -1;

  descriptor() = default;
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (number >= 0) ::close(number);
  }
};

}  // namespace detail

/// A file with the budget that it keeps.
template <privacy::adjacency Adjacency>
class privacy_ledger {
 public:
  /// Opens @p path, or begins it where there is none, and takes its releases out of the budget.
  /// @throws format_error, with the line where one is meant, if the file is damaged, is of another budget, has more
  ///         releases than that allows, or is open already, here or elsewhere; std::system_error if it cannot be read
  ///         or written; what the budget's constructor throws, before anything is opened.
  privacy_ledger(std::filesystem::path path, privacy::epsilon_delta total, privacy::filter by = {})
      : path_(std::move(path)), budget_(total, by, {this, &write}) {
    constexpr const char* names[] = {"basic", "concentrated", "renyi"};
    nlohmann::json first = header(total, names[static_cast<std::size_t>(by.of)]);
    if (by.of == privacy::filter::sum::renyi) first["order"] = by.order;
    open(std::move(first));
  }
  /// The same for a plan's steps.
  privacy_ledger(std::filesystem::path path, privacy::epsilon_delta total, privacy::fixed_plan<Adjacency> plan)
      : path_(std::move(path)), budget_(total, plan, {this, &write}) {
    nlohmann::json first = header(total, "plan"), steps = nlohmann::json::array();
    for (const auto& step : plan.steps) {
      steps.push_back(detail::loss_fields(step.curve));
      steps.back()["count"] = step.count;
    }
    first["steps"] = std::move(steps);
    open(std::move(first));
  }
  privacy_ledger(const privacy_ledger&) = delete;
  privacy_ledger& operator=(const privacy_ledger&) = delete;

  /// Commits write to the file; after one that failed to, each fails.
  [[nodiscard]] privacy::budget<Adjacency>& budget() { return budget_; }
  /// Releases in the file.
  [[nodiscard]] index_t releases() const { return releases_; }

 private:
  static nlohmann::json header(privacy::epsilon_delta total, const char* accounting) {
    return {{"ledger", "hone privacy"}, {"version", 1},         {"adjacency", Adjacency::name},
            {"epsilon", total.epsilon}, {"delta", total.delta}, {"accounting", accounting}};
  }

  [[noreturn]] void fail_system(const char* what) const {
    throw std::system_error(errno, std::generic_category(), path_.string() + ": " + what);
  }
  [[noreturn]] void fail(const char* reason) const { throw format_error(path_.string(), {}, reason); }

  void open(nlohmann::json first) {
    file_.number = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
    if (file_.number < 0) fail_system("cannot open");
    struct ::stat status{};
    if (::fstat(file_.number, &status) != 0) fail_system("cannot read");
    if (!S_ISREG(status.st_mode)) fail("not a regular file");
    if (::flock(file_.number, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) fail("the ledger is open already, here or in another process");
      fail_system("cannot lock");
    }
    const std::vector<std::byte> bytes = read_file(path_);
    const std::string_view text = text_of(bytes);
    size_ = bytes.size();
    if (text.empty()) {
      append(std::move(first));
      sync_folder();
      return;
    }
    const auto lines = static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
    if (!text.ends_with('\n')) throw format_error(path_.string(), {position::unit::line, lines + 1}, "is cut short");
    parse_json_lines(text, path_.string(), [&](json_row&& row) { replay(row, first); });
    if (chain_.empty()) fail("has no line");
  }

  /// The lines of the file, one after the other.
  void replay(json_row& row, const nlohmann::json& first) {
    const std::string chain = row.text("chain");
    row.value.erase("chain");
    const std::string expected = chain_of(row.value);
    const bool is_first = chain_.empty();
    if (chain != expected) row.fail("is damaged, or a line before it is missing: its chain does not fit");
    chain_ = chain;
    if (is_first) {
      for (const auto& [key, value] : first.items())
        if (const nlohmann::json* found = row.find(key.c_str()); found == nullptr || *found != value)
          row.fail("the ledger is of another budget: its " + key + " is " +
                   (found == nullptr ? std::string("not there") : short_text(found->dump())) + ", not " +
                   short_text(value.dump()));
      if (row.value.size() != first.size()) row.fail("the ledger is of another budget");
      return;
    }
    try {
      replaying_ = true;
      budget_.reserve(curve_of(row)).commit();
      replaying_ = false;
    } catch (const privacy::budget_exhausted& error) {
      row.fail(error.what());
    } catch (const std::invalid_argument& error) {
      row.fail(error.what());
    }
    ++releases_;
  }

  static double number(const json_row& row, const char* field, double least, double most) {
    const nlohmann::json* found = row.find(field);
    if (found == nullptr || !found->is_number()) row.fail(std::string("\"") + field + "\" is not a number");
    const double value = found->template get<double>();
    if (!(value >= least && value <= most)) row.fail(std::string("\"") + field + "\" is out of its range");
    return value;
  }

  privacy::loss_curve<Adjacency> curve_of(const json_row& row) const {
    constexpr double most = (std::numeric_limits<double>::max)();
    privacy::loss_curve<Adjacency> curve;
    const std::string& family = row.text("family");
    const auto* name = std::find(std::begin(detail::loss_families), std::end(detail::loss_families), family);
    if (name == std::end(detail::loss_families)) row.fail("unknown family \"" + short_text(family) + "\"");
    curve.family = static_cast<privacy::loss_family>(name - std::begin(detail::loss_families));
    const nlohmann::json* epsilon = row.find("epsilon");
    const bool infinite = epsilon != nullptr && epsilon->is_null();
    curve.basic.epsilon = infinite ? std::numeric_limits<double>::infinity() : number(row, "epsilon", 0, most);
    curve.basic.delta = number(row, "delta", 0, 1);
    curve.parameter = number(row, "parameter", 0, most);
    curve.rate = number(row, "rate", 0, 1);
    if (number(row, "release", 1, most) != static_cast<double>(releases_ + 1)) row.fail("a release is missing");
    return curve;
  }

  [[nodiscard]] std::string chain_of(const nlohmann::json& fields) const {
    sha256 hash;
    hash.add(chain_ + fields.dump());
    return hash.digits();
  }

  static void write(void* context, const privacy::loss_curve<Adjacency>& curve) {
    auto& ledger = *static_cast<privacy_ledger*>(context);
    if (ledger.replaying_) return;
    nlohmann::json fields = detail::loss_fields(curve);
    fields["release"] = ledger.releases_ + 1;
    ledger.append(std::move(fields));
    ++ledger.releases_;
  }

  void append(nlohmann::json fields) {
    if (broken_) fail("an earlier release could not be written");
    broken_ = true;
    struct ::stat mine{}, there{};
    if (::fstat(file_.number, &mine) != 0) fail_system("cannot read");
    if (::stat(path_.c_str(), &there) != 0 || mine.st_ino != there.st_ino || mine.st_dev != there.st_dev)
      fail("the ledger was moved or replaced while it was open");
    if (static_cast<std::uint64_t>(mine.st_size) != size_) fail("the ledger was changed while it was open");
    std::string chain = chain_of(fields);
    fields["chain"] = chain;
    const std::string line = fields.dump() + "\n";
    for (std::size_t done = 0; done < line.size();) {
      const auto count = ::write(file_.number, line.data() + done, line.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) fail_system("cannot write");
      done += static_cast<std::size_t>(count);
    }
    if (::fsync(file_.number) != 0) fail_system("cannot write");
    size_ += line.size();
    chain_ = std::move(chain);
    broken_ = false;
  }

  /// So that a power cut does not take the new file's name.
  void sync_folder() const {
    detail::descriptor folder;
    const auto parent = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
    folder.number = ::open(parent.c_str(), O_RDONLY | O_CLOEXEC);
    if (folder.number < 0 || ::fsync(folder.number) != 0) fail_system("cannot write its folder");
  }

  std::filesystem::path path_;
  detail::descriptor file_;
  std::string chain_;
  std::uint64_t size_ = 0;
  index_t releases_ = 0;
  bool replaying_ = false, broken_ = false;
  privacy::budget<Adjacency> budget_;
};

}  // namespace HONE_NAMESPACE::io
