// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
/// Learns from logged choices who should get which treatment, and promises every record that its part cannot be told.
#include <memory>

#include "treat/simulation.hpp"

namespace {

using namespace treat;

nlohmann::json rows_of(std::span<const double> x, std::size_t columns) {
  nlohmann::json rows = nlohmann::json::array();
  for (std::size_t at = 0; at < x.size(); at += columns)
    rows.push_back(std::vector<double>(x.begin() + static_cast<std::ptrdiff_t>(at),
                                       x.begin() + static_cast<std::ptrdiff_t>(at + columns)));
  return rows;
}

void print_rule(const table& t, std::span<const double> theta) {
  const std::size_t columns = t.features.size() + 1;
  for (std::size_t at = 0; at < theta.size(); ++at)
    std::printf("%-20s %12.6g\n",
                at % columns + 1 == columns ? "(constant)" : program::one_line(t.features[at % columns]).c_str(),
                theta[at]);
}

void run_plain(const settings& s, const table& t, nlohmann::json result) {
  hone::thread_pool pool(s.threads);
  const plain_fit fit = fit_plainly(s, scheme_of(s, t), loss_of(s, t), t, pool);
  const std::size_t columns = t.features.size() + 1;
  std::printf("The plain fit of %td records: nothing below is private.\n", t.limits.rows);
  print_rule(t, fit.theta);
  result["theta"] = rows_of(fit.theta, columns);
  result["private"] = false;
  result["weights"] = fit.weight;
  result["balance"] = {{"before", rows_of(fit.before, columns)}, {"after", rows_of(fit.after, columns)}};
  program::write_json(s.json, result);
}

void run_private(const settings& s, const table& t, nlohmann::json result) {
  const scheme weights = scheme_of(s, t);
  const loss l = loss_of(s, t);
  const privacy::plan p = plan_of(s, weights, l, t.limits);
  const std::unique_ptr<hone::io::privacy_ledger<privacy::replace_one>> ledger =
      s.ledger.empty() ? nullptr
                       : std::make_unique<hone::io::privacy_ledger<privacy::replace_one>>(
                             s.ledger, privacy::epsilon_delta{s.total[0], s.total[1]});
  privacy::budget<privacy::replace_one> own({s.promised(), s.delta});
  privacy::budget<privacy::replace_one>& funds = ledger ? ledger->budget() : own;
  privacy::chacha20 random;
  hone::thread_pool pool(s.threads);
  const std::vector<double> theta = release(p, weights, l, t, funds, random, pool).theta();
  const privacy::epsilon_delta spent = p.cost.basic;
  std::printf("%s on %td records, each replaceable: epsilon %g, delta %g%s\n", name_of(p).c_str(), t.limits.rows,
              spent.epsilon, spent.delta, p.ideal() ? ", in exact arithmetic only" : "");
  print_rule(t, theta);
  result.update({{"theta", rows_of(theta, t.features.size() + 1)},
                 {"private", true},
                 {"unit", "a row of the file, replaced by any other"},
                 {"mechanism", name_of(p)},
                 {"ideal_arithmetic", p.ideal()},
                 {"sensitivity", p.fit.sensitivity},
                 {"largest_weight", p.weights.largest},
                 {"moved_weights", p.weights.moved},
                 {"noise_scale", p.options.kind == privacy::mechanism::objective ? p.tilt : p.output.scale},
                 {"lattice", p.output.lattice},
                 {"spent", {{"epsilon", spent.epsilon}, {"delta", spent.delta}}}});
  if (ledger)
    result["ledger"] = {
        {"epsilon", funds.spent().epsilon}, {"delta", funds.spent().delta}, {"releases", ledger->releases()}};
  program::write_json(s.json, result);
}

int run_simulation(const settings& s, nlohmann::json result) {
  std::vector<comparison> all;
  try {
    program::stoppable_pool pool(s.threads);
    all = compare(s, pool);
  } catch (const program::stopped_by_user&) {
    std::fputs("treat: interrupted, nothing is written\n", stderr);
    return 130;
  }
  std::printf("Share of the attainable gain, %td repetitions, 95 %% intervals\n", s.repetitions);
  std::printf("%7s %7s %5s %4s %-9s %11s %11s %11s %11s %11s\n", "rows", "weights", "ridge", "eps", "noise", "plain",
              "joint", "composed", "difference", "worst case");
  for (const comparison& c : all) {
    const auto cell = [](const std::vector<double>& x) { return x.empty() ? "none" : program::mean_and_margin(x, 3); };
    std::vector<double> apart;
    for (std::size_t i = 0; i < c.joint.size() && i < c.composed.size(); ++i)
      apart.push_back(c.joint[i] - c.composed[i]);
    std::printf("%7td %7s %5g %4g %-9s %s %s %s %s %s\n", c.rows, c.weights.c_str(), c.ridge, c.epsilon,
                c.mechanism.c_str(), program::right(cell(c.plain), 11).c_str(),
                program::right(cell(c.joint), 11).c_str(), program::right(cell(c.composed), 11).c_str(),
                program::right(cell(apart), 11).c_str(), program::right(cell(c.worst), 11).c_str());
    result["comparisons"].push_back({{"rows", c.rows},
                                     {"weights", c.weights},
                                     {"ridge", c.ridge},
                                     {"epsilon", c.epsilon},
                                     {"noise", c.mechanism},
                                     {"plain", c.plain},
                                     {"joint", c.joint},
                                     {"composed", c.composed},
                                     {"worst", c.worst}});
  }
  program::write_json(s.json, result);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  program::options options;
  declare(options, s);
  CLI::App app("Learns from logged choices who should get which treatment, and promises every record its privacy.",
               "treat");
  options.declare(app);
  CLI11_PARSE(app, argc, argv);
  return program::run("treat", [&] {
    check(s, app);
    const nlohmann::json result = {{"config", options.report()}};
    if (s.simulates()) return run_simulation(s, result);
    const table t = read_table(s);
    if (s.epsilon == "inf")
      run_plain(s, t, result);
    else
      run_private(s, t, result);
    return 0;
  });
}
